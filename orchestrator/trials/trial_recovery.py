"""How a trial goes on after a loss: how often it is tried again, and from which checkpoint.

Tune counts all failures of a trial. On spot instances a long trial loses its node again and again, goes on
from its checkpoint each time, and would be given up though nothing is wrong with it.

Tune deletes a trial's last checkpoint but one before it saves which one is the last. A driver that is killed
in between leaves a state that names a checkpoint that is gone; the resumed trial would fail until given up.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem
from ray import tune
from ray.train._internal.checkpoint_manager import _CheckpointManager
from ray.tune.experiment import Trial

from orchestrator.common.harmless import harmless
from orchestrator.search.sweep_searcher import SweepSearcher
from trainables.checkpoints import CHECKPOINT, Checkpoint, LocalCheckpoint

FAILURES_A_TRIAL = 3


def last_checkpoint(trial: Trial) -> Checkpoint | None:
    """What a trial has saved last; one in a folder that its readers need no Ray Tune for."""
    found = trial.checkpoint
    if found is not None and isinstance(found.filesystem, LocalFileSystem):
        return LocalCheckpoint(found.path)
    return found


class ReconcileCallback(tune.Callback):
    """Lets the searcher reconcile itself with Tune's trials, once, before anything else happens."""

    def __init__(self, searcher: SweepSearcher) -> None:
        self._searcher: SweepSearcher | None = searcher

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if self._searcher is not None:
            self._searcher.reconcile(trials)
            self._searcher = None


class Retries(tune.Callback):
    """Gives a trial that has come further than before all of its tries back."""

    def __init__(self) -> None:
        self._furthest: dict[str, int] = {}

    @harmless
    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        if trial.trial_id not in self._furthest:  # also of a trial that failed before a resume
            self._renew(trial)

    @harmless
    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        if _epochs(trial) > self._furthest.get(trial.trial_id, 0):
            self._renew(trial)

    def _renew(self, trial: Trial) -> None:
        self._furthest[trial.trial_id] = _epochs(trial)
        trial.max_failures = trial.run_metadata.num_failures + FAILURES_A_TRIAL


class Checkpoints(tune.Callback):
    """Before a resumed sweep's first step: trials that have not ended, and whose checkpoint is gone, go on
    from the newest that is there, or else begin anew.

    How many of each trial are kept is said here, trial by trial. If Tune itself knew, it would save the state
    of all trials at every checkpoint of one.
    """

    def __init__(self, config: tune.CheckpointConfig) -> None:
        self._config = config
        self._done = False

    @harmless
    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        if trial.latest_checkpoint_result is None:
            trial.run_metadata.checkpoint_manager = _CheckpointManager(checkpoint_config=self._config)

    @harmless
    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if self._done:
            return
        self._done = True
        for trial in trials:
            if trial.status not in (Trial.TERMINATED, Trial.ERROR):
                self._find(trial)

    def _find(self, trial: Trial) -> None:
        result = trial.latest_checkpoint_result
        if result is None or result.checkpoint is None:
            return
        gone, filesystem = PurePath(result.checkpoint.path), result.checkpoint.filesystem
        assert filesystem is not None
        if _is_whole(filesystem, str(gone)):
            return
        beside = filesystem.get_file_info(FileSelector(str(gone.parent), allow_not_found=True))
        there = {_number(file.path): file.path for file in beside if _is_whole(filesystem, file.path)}
        if not there:
            trial.run_metadata.checkpoint_manager = _CheckpointManager(checkpoint_config=self._config)
            return
        newest = max(there)
        result.checkpoint = tune.Checkpoint(there[newest], filesystem)
        assert trial.storage is not None
        # The next checkpoint must not get the number of this one.
        trial.storage.current_checkpoint_index += newest - _number(str(gone))


def _is_whole(filesystem: FileSystem, folder: str) -> bool:
    """The trainable's file is renamed to its name when it has been written."""
    return bool(filesystem.get_file_info(f"{folder}/{CHECKPOINT}").type == FileType.File)


def _number(folder: str) -> int:
    """Of Tune's "checkpoint_000003"."""
    return int(PurePath(folder).name.rpartition("_")[2])


def _epochs(trial: Trial) -> int:
    return int((trial.last_result or {}).get("training_iteration", 0))
