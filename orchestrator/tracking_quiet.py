"""MLflow without its progress bars and its accounts of what it does."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_NO_BARS = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
_UPLOAD = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "300"}


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
        with _environment(_NO_BARS | _UPLOAD if uploads else _NO_BARS):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
