from __future__ import annotations

import logging
import os

import pytest

from orchestrator.tracking_quiet import quiet

BARS, TIMEOUT = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "MLFLOW_HTTP_REQUEST_TIMEOUT"


def test_everything_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BARS, "true")
    monkeypatch.delenv(BARS)
    monkeypatch.setenv(TIMEOUT, "5")
    level = logging.getLogger("mlflow.pyfunc").level

    def fails() -> None:
        with quiet(uploads=True):
            assert (os.environ[BARS], os.environ[TIMEOUT]) == ("false", "300")
            assert logging.getLogger("mlflow.pyfunc").level == logging.WARNING
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fails()
    assert (os.environ.get(BARS), os.environ[TIMEOUT]) == (None, "5")
    assert logging.getLogger("mlflow.pyfunc").level == level
    with quiet():
        assert os.environ[TIMEOUT] == "5"
