"""MLflow without its progress bars and its accounts of what it does."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.tracking_settings import QUIET, UPLOAD, settings


@contextmanager
def quiet(*, uploads: bool = False) -> Iterator[None]:
    """Nothing is said within, but warnings. Not for several threads at once.

    Args:
        uploads: large files go to a server within: its answer is waited for, however short a sweep's
            timeouts are.
    """
    loggers = [logging.getLogger(name) for name in ("mlflow.pyfunc", "mlflow.models")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with settings(QUIET | UPLOAD if uploads else QUIET, over=True):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
