from __future__ import annotations

import pytest
import requests

from orchestrator.common.problems import reason, without_password


def test_the_cause_in_a_line_without_passwords() -> None:
    problem = ValueError("something\nlong")
    problem.__cause__ = OSError(28, "No space left on device")
    assert reason(problem) == "No space left on device"
    assert reason(KeyError()) == "KeyError"
    assert reason(ValueError("at http://me:secret@host/x\nand more")) == "at http://host/x"
    assert without_password("postgresql://me:secret@host/db") == "postgresql://host/db"


def test_a_proxy_is_named() -> None:
    with pytest.raises(requests.exceptions.ProxyError) as caught:
        requests.get("http://127.0.0.1:9/", proxies={"http": "http://127.0.0.1:1"}, timeout=5)
    assert reason(caught.value) == ("Connection refused, of the proxy that HTTP_PROXY or HTTPS_PROXY names")
