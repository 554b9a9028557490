"""Interrupts a sweep whose folder is gone or full, before it burns through every trial.

As Ctrl-C does, and not by Tune's own way: that ends the running trials for good, and a resume would lack
them. What is still to be written then (Tune's state, what MLflow has not been told, the report) finds room,
since a file in the sweep's folder has kept some.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Self

from ray import tune

from orchestrator.spec.sweep_spec import SPEC_FILE

LEAST_FREE = 20_000_000
RESERVE = 64_000_000
RESERVE_FILE = ".reserve"
SECONDS_BETWEEN_LOOKS = 2.0


class StorageGuard(tune.Stopper):
    """Looks at the sweep's folder every few seconds; `problem` says why it interrupted everything. The
    reserve is kept in its `with` block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problem: str | None = None
        self._next_look = 0.0

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError), (self.folder / RESERVE_FILE).open("wb") as file:
            if hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(file.fileno(), 0, RESERVE)
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def __call__(self, trial_id: str, result: dict[str, object]) -> bool:
        return False

    def stop_all(self) -> bool:
        if self.problem is None and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + SECONDS_BETWEEN_LOOKS
            self.problem = self._look()
            if self.problem is not None:
                self.release()
                signal.raise_signal(signal.SIGINT)
        return False

    def release(self) -> None:
        """Gives the reserve back."""
        with contextlib.suppress(OSError):
            (self.folder / RESERVE_FILE).unlink()

    def _look(self) -> str | None:
        if not (self.folder / SPEC_FILE).is_file():
            return f"the sweep's folder is gone: {self.folder}"
        free = shutil.disk_usage(self.folder).free
        if free < LEAST_FREE:
            return f"storage is full, {free // 10**6} MB are left: {self.folder}"
        return None
