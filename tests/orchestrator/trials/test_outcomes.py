"""What is large of a trial's last result leaves it, and comes back as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray import tune
from ray.train._internal.session import _TrainingResult
from ray.tune.experiment import Trial

from orchestrator.trials.outcomes import Outcomes

HISTORY = [{"epoch": 1.0, "kl": 0.1 + 0.2, "nll": float("inf")}, {"epoch": 2.0, "kl": float("nan")}]
LOSSES = np.array([1.1, 2.0 / 3, np.inf], np.float32)


@pytest.fixture
def trial() -> Trial:
    return Trial("trainable", stub=True, trial_id="t1")


def test_it_comes_back_as_it_was(tmp_path: Path, trial: Trial) -> None:
    outcomes = Outcomes(str(tmp_path))
    result: dict[str, Any] = {"epoch": 2, "final": {"kl": 1.0}, "history": HISTORY, "losses_N": LOSSES}
    outcomes.on_trial_result(1, [trial], trial, result)
    assert result == {"epoch": 2, "final": {"kl": 1.0}}
    found = Outcomes(str(tmp_path)).of("t1")
    np.testing.assert_equal(found["history"], HISTORY)
    assert found["losses_N"].dtype == np.float32
    np.testing.assert_array_equal(found["losses_N"], LOSSES)
    losses = outcomes.losses_N("t1")
    assert losses is not None
    np.testing.assert_array_equal(losses, LOSSES)
    assert [file.name for file in (tmp_path / "outcomes").iterdir()] == ["t1.json.gz"]


def test_a_trial_without_one(tmp_path: Path, trial: Trial) -> None:
    outcomes = Outcomes(str(tmp_path))
    result = {"epoch": 1, "metrics": {"kl": 1.0}}
    outcomes.on_trial_result(1, [trial], trial, dict(result))
    assert outcomes.of("t1") == {}
    assert outcomes.losses_N("t1") is None
    assert list(tmp_path.iterdir()) == []


def test_of_a_failed_trial_its_history_alone(tmp_path: Path, trial: Trial) -> None:
    outcomes = Outcomes(str(tmp_path))
    outcomes.on_trial_result(1, [trial], trial, {"failure": "diverged", "history": HISTORY[:1]})
    assert outcomes.of("t1") == {"history": HISTORY[:1]}
    assert outcomes.losses_N("t1") is None


def test_what_cannot_be_written_stays(tmp_path: Path, trial: Trial) -> None:
    (tmp_path / "outcomes").write_text("in the way")
    outcomes = Outcomes(str(tmp_path))
    result = {"history": HISTORY, "losses_N": LOSSES}
    outcomes.on_trial_result(1, [trial], trial, result)
    assert result == {"history": HISTORY, "losses_N": LOSSES}
    assert outcomes.of("t1") == {}


def test_the_checkpoint_keeps_no_second_copy(tmp_path: Path, trial: Trial) -> None:
    outcomes = Outcomes(str(tmp_path))
    last = {"epoch": 2, "history": HISTORY, "losses_N": LOSSES}
    checkpoint = tune.Checkpoint(str(tmp_path))
    trial.run_metadata.checkpoint_manager.register_checkpoint(_TrainingResult(checkpoint, dict(last)))
    outcomes.on_trial_save(1, [trial], trial)
    saved = trial.latest_checkpoint_result
    assert saved is not None
    assert saved.metrics == last  # the only one that there is
    outcomes.on_trial_result(1, [trial], trial, last)
    outcomes.on_trial_save(1, [trial], trial)
    assert saved.metrics == {"epoch": 2}


def test_tunes_statistics_are_not_kept(tmp_path: Path, trial: Trial) -> None:
    outcomes = Outcomes(str(tmp_path))
    for epoch in range(1, 4):
        figures = {f"metric_{number}": 1.0 / epoch for number in range(30)}
        trial.update_last_result({"training_iteration": epoch, "metrics": figures})
    before = len(trial.run_metadata.get_json_state())
    outcomes.on_trial_complete(1, [trial], trial)
    assert trial.run_metadata.metric_analysis == {}
    assert len(trial.run_metadata.get_json_state()) < before / 3
    assert trial.last_result["metrics"] == figures
    trial.update_last_result({"training_iteration": 4, "metrics": figures})  # and it may go on
    assert "metrics/metric_0" in trial.metric_analysis
