"""Settings of MLflow's hold as long as they shall, and are put back."""

from __future__ import annotations

import logging
import os

import pytest

from orchestrator.tracking.server.settings import QUIET, UPLOAD, quiet, set_unless_set, settings

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
