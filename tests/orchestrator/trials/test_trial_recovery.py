"""How a trial goes on: its tries, given back where it has come further; its checkpoint, where it is gone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem
from ray import tune
from ray.train._internal.session import _TrainingResult
from ray.tune.experiment import Trial

from orchestrator.trials.trial_recovery import FAILURES_A_TRIAL, Checkpoints, Retries, last_checkpoint
from trainables.checkpoints import CHECKPOINT, LocalCheckpoint


def lives(trial: Trial, epochs: list[int]) -> int:
    """Lets the trial fail after so many epochs each time, until it is given up; how often it failed."""
    retries, none = Retries(), dict[str, Any]()
    retries.on_trial_start(0, [trial], trial, **none)
    for count, reached in enumerate(epochs, start=1):
        trial.run_metadata.last_result = {"training_iteration": reached}
        trial.run_metadata.num_failures += 1
        if not trial.should_recover():
            return count
        retries.on_trial_recover(0, [trial], trial, **none)
        retries.on_trial_start(0, [trial], trial, **none)
    return len(epochs) + 1


@pytest.fixture
def trial() -> Trial:
    return Trial("trainable", stub=True, max_failures=FAILURES_A_TRIAL)


@pytest.mark.parametrize(
    ("epochs", "failures"),
    [
        ([0] * 9, 4),  # three tries more
        ([5] * 9, 5),  # it had come to epoch 5, and does not come further
        ([5, 4, 5, 5, 5], 5),
        ([3, 3, 3, 4, 4, 4, 4, 4], 8),
        (list(range(1, 40)), 40),  # lost again and again, but never at once
    ],
)
def test_how_often_a_trial_may_fail(trial: Trial, epochs: list[int], failures: int) -> None:
    assert lives(trial, epochs) == failures


def test_a_resume_gives_all_tries_back(trial: Trial) -> None:
    assert lives(trial, [0] * 9) == 4
    assert lives(trial, [0] * 9) == 4


# -- the checkpoint that a trial goes on from ------------------------------------------------------


def test_what_was_saved_last(trial: Trial, tmp_path: Path) -> None:
    """In a folder it needs no Ray Tune to be read; anywhere else it is Tune's own."""
    assert last_checkpoint(trial) is None
    here = tune.Checkpoint(str(tmp_path))
    away = tune.Checkpoint("x", SubTreeFileSystem(str(tmp_path), LocalFileSystem()))
    for checkpoint, expected in ((here, LocalCheckpoint(str(tmp_path))), (away, away)):
        trial.run_metadata.checkpoint_manager.register_checkpoint(_TrainingResult(checkpoint, {}))
        assert last_checkpoint(trial) == expected


def saved(folder: Path, *numbers: int, name: str = CHECKPOINT) -> None:
    for number in numbers:
        (folder / f"checkpoint_{number:06d}").mkdir(parents=True)
        (folder / f"checkpoint_{number:06d}" / name).touch()


def found(folder: Path, named: int | None, status: str = Trial.PENDING) -> tuple[str | None, int]:
    """The name of the checkpoint that the trial goes on from, and the number that its next one will get."""
    config = tune.CheckpointConfig(num_to_keep=1)
    trial = Trial("trainable", stub=True, checkpoint_config=config)
    trial.storage = storage = _Storage(-1)  # type: ignore[assignment]
    if named is not None:
        storage.current_checkpoint_index = named
        checkpoint = tune.Checkpoint(str(folder / f"checkpoint_{named:06d}"))
        trial.run_metadata.checkpoint_manager.register_checkpoint(_TrainingResult(checkpoint, {}))
    trial.status = status
    search, none = Checkpoints(config), dict[str, Any]()
    search.on_step_begin(0, [trial], **none)
    search.on_step_begin(1, [trial], **none)
    checkpoint = trial.checkpoint
    return checkpoint and Path(checkpoint.path).name, storage.current_checkpoint_index + 1


class _Storage:
    def __init__(self, index: int) -> None:
        self.current_checkpoint_index = index


@pytest.fixture(autouse=True)
def nothing_fails(caplog: pytest.LogCaptureFixture) -> Any:
    yield
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_each_trial_keeps_one_though_tune_is_not_told_of_it(tmp_path: Path) -> None:
    """Told of it, Tune would write the state of all trials at every checkpoint of one."""
    trial = Trial("trainable", stub=True, checkpoint_config=tune.CheckpointConfig())
    Checkpoints(tune.CheckpointConfig(num_to_keep=1)).on_trial_start(0, [trial], trial)
    saved(tmp_path, 0, 1, 2)
    for number in range(3):
        checkpoint = tune.Checkpoint(str(tmp_path / f"checkpoint_{number:06d}"))
        trial.run_metadata.checkpoint_manager.register_checkpoint(_TrainingResult(checkpoint, {}))
    assert [folder.name for folder in tmp_path.iterdir()] == ["checkpoint_000002"]


def test_the_checkpoint_that_is_there(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    assert found(tmp_path, 1) == ("checkpoint_000001", 2)


def test_the_newest_that_is_there(tmp_path: Path) -> None:
    saved(tmp_path, 2, 10)
    assert found(tmp_path, 1) == ("checkpoint_000010", 11)


def test_not_one_that_was_never_written_to_its_end(tmp_path: Path) -> None:
    saved(tmp_path, 2)
    saved(tmp_path, 3, name="training.partial")
    assert found(tmp_path, 1) == ("checkpoint_000002", 3)


def test_none_is_there(tmp_path: Path) -> None:
    assert found(tmp_path, 1) == (None, 2)  # its first may keep the number 2
    assert found(tmp_path, None) == (None, 0)


def test_a_trial_that_has_ended_is_left_alone(tmp_path: Path) -> None:
    saved(tmp_path, 2)
    assert found(tmp_path, 1, Trial.TERMINATED) == ("checkpoint_000001", 2)
