"""Settings of MLflow's hold as long as they shall, and are put back."""

from __future__ import annotations

import logging
import os
import urllib.request

import pytest

from orchestrator.tracking.server.settings import QUIET, UPLOAD, past_proxies, quiet, set_unless_set, settings

BARS, TIMEOUT = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "MLFLOW_HTTP_REQUEST_TIMEOUT"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BARS, "true")
    monkeypatch.delenv(BARS)
    monkeypatch.setenv(TIMEOUT, "7")


def test_quiet_is_put_back_after_an_error() -> None:
    level = logging.getLogger("mlflow.pyfunc").level

    def fails() -> None:
        with quiet():
            assert os.environ[BARS] == "false"
            assert logging.getLogger("mlflow.pyfunc").level == logging.WARNING
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fails()
    assert BARS not in os.environ
    assert logging.getLogger("mlflow.pyfunc").level == level


def test_settings_of_the_user_stay_unless_told_otherwise() -> None:
    with settings(QUIET | UPLOAD):
        assert (os.environ[BARS], os.environ[TIMEOUT]) == ("false", "7")
    with settings(QUIET | UPLOAD, over=True):
        assert (os.environ[BARS], os.environ[TIMEOUT]) == ("false", "300")
    assert (os.environ.get(BARS), os.environ[TIMEOUT]) == (None, "7")
    set_unless_set(QUIET | UPLOAD)
    assert (os.environ[BARS], os.environ[TIMEOUT]) == ("false", "7")


@pytest.mark.parametrize(
    ("address", "bypassed"),
    [("http://127.0.0.1:5000", "127.0.0.1"), ("http://localhost", "localhost"), ("http://[::1]:5", "::1"),
     ("http://mlflow.example:5000", None), ("sqlite:///x.db", None)],
)  # fmt: skip
def test_a_server_on_this_machine_is_reached_without_a_proxy(
    address: str, bypassed: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "a.example")
    monkeypatch.setenv("NO_PROXY", "a.example")
    os.environ.update(past_proxies(address))
    os.environ.update(past_proxies(address))
    expected = "a.example" if bypassed is None else f"a.example,{bypassed}"
    assert (os.environ["no_proxy"], os.environ["NO_PROXY"]) == (expected, expected)
    if bypassed is not None:
        assert urllib.request.proxy_bypass(bypassed)
