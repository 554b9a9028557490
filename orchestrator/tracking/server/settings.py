"""MLflow's own settings, which are environment variables: how long it waits, what it prints."""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

QUIET = {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
"""What MLflow prints would go between our own lines."""
SHORT_TIMEOUTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
"""A request to a dead server then fails within seconds and is made again by us; MLflow's own: minutes."""
LONG_TIMEOUTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}
"""For a server that has answered, and may take its time over a thousand runs."""
ONCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}
"""For what makes something: sent twice it is made twice."""
UPLOAD = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "300"}
"""For large files."""


def set_unless_set(values: Mapping[str, str]) -> None:
    """For the rest of the process."""
    for name, value in values.items():
        os.environ.setdefault(name, value)


def past_proxies(address: str) -> dict[str, str]:
    """Variables by which a server on this machine is reached without the proxy that the environment names,
    which would look for it on its own; none for any other address."""
    host = urlsplit(address).hostname or ""
    if host != "localhost" and not _is_loopback(host):
        return {}
    known = {name: os.environ.get(name, "").split(",") for name in ("NO_PROXY", "no_proxy")}
    return {name: ",".join(dict.fromkeys(filter(None, [*hosts, host]))) for name, hosts in known.items()}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def settings(values: Mapping[str, str], *, over: bool = False) -> Iterator[None]:
    """For the block. Not for several threads at once: the environment is the process's.

    Args:
        over: whatever is set already, by us or by the user; else that stays.
    """
    before = {name: os.environ.get(name) for name in values if over or name not in os.environ}
    os.environ.update((name, values[name]) for name in before)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def quiet() -> Iterator[None]:
    """For the block MLflow has no progress bars and gives no accounts of what it does; warnings are said. Not
    for several threads at once."""
    loggers = [logging.getLogger(name) for name in ("mlflow.pyfunc", "mlflow.models")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with settings(QUIET, over=True):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
