"""What is said of an error: its cause in a line, and no password in any address.

Who words an error and who writes to MLflow must agree on this, so it stands beneath both.
"""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")


class StoreError(ValueError):
    """Why a sweep cannot be read: the rule, what was received, and where it came from."""


def reason(problem: BaseException) -> str:
    """What is behind an error, in a line without passwords: "Connection refused", not what libraries make of
    it; and whether it was a proxy's."""
    proxy = ""
    cause: BaseException | None = problem
    while cause is not None:
        problem = cause
        if type(problem).__name__ == "ProxyError":  # of requests and of urllib3
            proxy = ", of the proxy that HTTP_PROXY or HTTPS_PROXY names"
        cause = problem.__cause__ or problem.__context__
    text = (problem.strerror if isinstance(problem, OSError) else None) or str(problem)
    return without_password((text.splitlines() or [type(problem).__name__])[0]) + proxy


def without_password(text: str) -> str:
    """The text with user names and passwords taken out of its addresses."""
    return _PASSWORD.sub("", text)
