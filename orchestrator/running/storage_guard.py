"""Stops a sweep whose folder is gone or full, before it burns through every trial."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from ray import tune

from orchestrator.spec.sweep_spec import SPEC_FILE

LEAST_FREE = 20_000_000
SECONDS_BETWEEN_LOOKS = 2.0


class StorageGuard(tune.Stopper):
    """Looks at the sweep's folder every few seconds; `problem` says why it stopped everything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problem: str | None = None
        self._next_look = 0.0

    def __call__(self, trial_id: str, result: dict[str, object]) -> bool:
        return False

    def stop_all(self) -> bool:
        if self.problem is None and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + SECONDS_BETWEEN_LOOKS
            self.problem = self._look()
        return self.problem is not None

    def _look(self) -> str | None:
        if not (self.folder / SPEC_FILE).is_file():
            return f"the sweep's folder is gone: {self.folder}"
        free = shutil.disk_usage(self.folder).free
        if free < LEAST_FREE:
            return f"storage is full, {free // 10**6} MB are left: {self.folder}"
        return None
