"""MLflow without its progress bars and its accounts of what it does."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

_BARS = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing is said within, but warnings. Not for several threads at once."""
    loggers = [logging.getLogger(name) for name in ("mlflow.pyfunc", "mlflow.models")]
    levels = [logger.level for logger in loggers]
    shown = os.environ.get(_BARS)
    os.environ[_BARS] = "false"
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        os.environ.pop(_BARS)
        if shown is not None:
            os.environ[_BARS] = shown
