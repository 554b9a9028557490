"""What MLflow can hold: sizes of a request, lengths of texts, names it accepts.

MLflow cuts longer texts silently and refuses a whole request for one bad name, so both are settled here.
"""

from __future__ import annotations

import posixpath
import re

MOST_POINTS = 1000
"""Metric points in a request."""
MOST_ENTRIES = 100
"""Params or tags in a request."""
MOST_CHARACTERS = 100_000
"""Text of the params or tags in a request: a server takes 1 MB, and JSON escapes a character as up to six."""
LONGEST_NAME = 250
LONGEST_PARAM = 6000
LONGEST_TAG = 8000

_ALLOWED = re.compile(r"[/\w.\- :]+")


def name_problem(name: str) -> str | None:
    """Why MLflow would refuse a metric or param of that name; None if it would not."""
    if not _ALLOWED.fullmatch(name):
        return f"name must consist of letters, digits and _ - . : / and spaces, got {name!r}"
    if posixpath.normpath(name) != name or name.startswith((".", "/")):
        return f"name must not be changed by reading it as a relative path, got {name!r}"
    if len(name) > LONGEST_NAME:
        return f"name must have at most {LONGEST_NAME} characters, got {len(name)}: {name[:40]!r}…"
    return None


def shortened(text: str, limit: int) -> str:
    """The text, or its start with a note of how long it was."""
    if len(text) <= limit:
        return text
    mark = f" … [shortened, {len(text)} characters]"
    return text[: limit - len(mark)] + mark


def shortened_markdown(text: str, limit: int = LONGEST_TAG) -> str:
    """The text, or its first whole lines with a note of how long it was."""
    if len(text) <= limit:
        return text
    mark = f"\n\n*Shortened: {len(text)} characters in all.*"
    start, newline, _ = text[: limit - len(mark)].rpartition("\n")
    return (start if newline else text[: limit - len(mark)]) + mark
