"""Ray while a sweep runs: started on this machine, or the cluster that RAY_ADDRESS names."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import warnings
from collections.abc import Iterator
from typing import Any

import ray
from rich.console import Console

import trainables
from orchestrator.cluster.ray_address import ray_folder
from orchestrator.cluster.ray_messages import say_in_a_line
from orchestrator.common.interrupts import interrupts_ignored
from orchestrator.common.problems import reason
from orchestrator.spec.errors import SpecError
from trainables.common.output import as_ctrl_c

_RETIRED = ("TUNE_RESULT_DIR", "RAY_AIR_LOCAL_CACHE_DIR")
"""Variables of Ray's past, at which Tune raises."""


class RayGoneError(RuntimeError):
    """Ray or its cluster is gone, or does not start; the sweep can be resumed on another."""


@contextlib.contextmanager
def ray_running(console: Console) -> Iterator[None]:
    """Ray runs, or is there, in this block."""
    try:
        say_in_a_line(console)
        with console.status("starting Ray"):  # seen on a terminal only
            _start()
        yield
    finally:
        with interrupts_ignored():  # interrupted, Ray ends this process at once, with a status of its own
            ray.shutdown()


def cluster_resources() -> dict[str, float]:
    """What Ray has: CPU, GPU, and so on."""
    have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return have


def _start() -> None:
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")  # ProgressCallback says it in a line
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")  # processes that no trial would take
    for name in ("ray", "ray.tune"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)  # a list of the trials that failed
    logging.getLogger("ray.tune.execution.experiment_state").addFilter(worth_saying)
    if not os.environ.get("RAY_TMPDIR"):
        os.environ.pop("RAY_TMPDIR", None)  # set to nothing, Ray takes it for a folder
    for name in _RETIRED:
        os.environ.pop(name, None)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if os.environ.get("RAY_ADDRESS"):
        code = os.path.dirname(trainables.__file__)  # the nodes need the trials' code
        options |= {"runtime_env": {"py_modules": [code]}}
    else:
        options |= {"address": "local", "include_dashboard": False, "_temp_dir": ray_folder()}
    with warnings.catch_warnings(), _hangups_ignored():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            ray.init(**options)
        except Exception as error:  # Ray raises plain ones too
            raise _refusal(error) from error
    # What a batch scheduler sends ends the sweep as Ctrl-C does; Ray has set a handler of its own.
    signal.signal(signal.SIGTERM, as_ctrl_c)


def _refusal(error: Exception) -> Exception:
    """Why there is no Ray, in a line."""
    said = (str(error).splitlines() or [type(error).__name__])[0]
    if address := os.environ.get("RAY_ADDRESS"):
        return SpecError(f"RAY_ADDRESS must be that of a Ray that answers, got {address!r}: {said}")
    return RayGoneError(f"it does not start on this machine: {said}")


@contextlib.contextmanager
def _hangups_ignored() -> Iterator[None]:
    """Ray's processes, started in this block, outlive the terminal until the sweep has ended them."""
    handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, handler)


def worth_saying(record: logging.LogRecord) -> bool:
    """Whether a failed snapshot is more than a file that Tune renamed while it copied its own folder; the
    next snapshot has what that one lacks. What is said, is said in a line."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        record.msg, record.args = f"{record.getMessage().rstrip()} {reason(error)}", ()
        record.exc_info = record.exc_text = None
    return not (isinstance(error, FileNotFoundError) and "-tmp-searcher-state" in str(error))
