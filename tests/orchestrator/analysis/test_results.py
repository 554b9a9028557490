from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from orchestrator.analysis.results import ERROR, TrialResult, histories_by_trial, losses_by_trial, runs_frame
from orchestrator.search.trial_plan import TrialPlan

PLAN = TrialPlan("cyclical", "trial", {"cycles": 3, "decoder": "dilated", "dilation": "M"}, 4, ("cycles",))
FINAL = {
    "still_to_gain": 0.05,
    "best/nll": 11.0,
    "best/nll_plus_kl": 12.75,
    "test/nll": 10.0,
    "test/kl": 2.0,
    "test/nll_plus_kl": 12.0,
    "test/iw_nll": 11.5,
    "test/iw_nll_se": 0.1,
    "test/iw_samples": 100,
    "test/iw_sentences": 200,
    "test/mutual_information": 1.5,
    "test/active_units": 3,
}
COST = {"seconds": 7.5, "gpu_seconds": 1.875, "optimizer_steps": 30, "inner_steps": 0, "tokens": 900}
METRICS = {"nll": 11.0, **COST}


def result_of(last: dict[str, Any], trial_id: str = "a", errored: bool = False) -> TrialResult:
    return TrialResult.from_tune(trial_id, PLAN.config(), last, errored=errored)


EPOCHS = [{"epoch": 1.0, **METRICS, "tokens": 450.0}, {"epoch": 2.0, **METRICS}]
LOSSES = np.array([11.5, 12.5], np.float32)
DONE = {"metrics": METRICS, "final": FINAL, "losses_N": LOSSES, "history": EPOCHS, "done": True}
DIVERGED = {"metrics": {}, "failure": "diverged", "reason": "loss not finite in epoch 2", "done": True}


def test_a_finished_training() -> None:
    result = result_of(DONE)
    assert result.ended
    assert result.failure is None
    assert result.plan == PLAN
    about = {"trial_id": "a", "variant": "cyclical", "kind": "trial", "decoder": "dilated-M", "seed": 4}
    figures = {
        "nll": 10.0,
        "kl": 2.0,
        "nll_plus_kl": 12.0,
        "iw_nll": 11.5,
        "iw_nll_se": 0.1,
        "iw_samples": 100,
        "iw_sentences": 200,
        "mutual_information": 1.5,
        "active_units": 3,
        "valid_nll_plus_kl": 12.75,
        "still_to_gain": 0.05,
    }
    assert result.row() == {**about, "knobs": "cycles=3", "failure": "", **figures, **COST}


def test_a_failed_training_has_no_figures() -> None:
    row = result_of(DIVERGED).row()
    assert row["failure"] == "diverged"
    assert all(math.isnan(row[name]) for name in ("nll", "kl", "nll_plus_kl", "valid_nll_plus_kl", "seconds"))


def test_a_failed_training_cost_what_its_whole_epochs_did() -> None:
    row = result_of({**DIVERGED, "history": EPOCHS[:1]}).row()
    assert (row["tokens"], row["seconds"], row["gpu_seconds"]) == (450.0, 7.5, 1.875)
    assert math.isnan(row["nll_plus_kl"])


@pytest.mark.parametrize(
    ("last", "errored", "ended", "failure"),
    [
        (DONE, False, True, None),
        (DIVERGED, False, True, "diverged"),
        ({}, True, True, ERROR),
        ({"metrics": METRICS}, True, True, ERROR),
        ({"metrics": METRICS}, False, False, None),
        ({}, False, False, None),
    ],
)
def test_how_a_training_ended(last: dict[str, Any], errored: bool, ended: bool, failure: str | None) -> None:
    result = result_of(last, errored=errored)
    assert (result.ended, result.failure) == (ended, failure)


@pytest.mark.parametrize(
    ("kl", "active_units", "collapsed"), [(0.05, 0, True), (0.1, 0, False), (0.05, 1, False), (3.0, 0, False)]
)
def test_collapse_is_little_kl_and_no_active_unit(kl: float, active_units: int, collapsed: bool) -> None:
    final = {**FINAL, "test/kl": kl, "test/active_units": active_units}
    assert result_of({**DONE, "final": final}).collapsed is collapsed


def test_a_row_a_trial_and_losses_of_those_that_have_them() -> None:
    results = [result_of(DONE, "a"), result_of(DIVERGED, "b"), result_of({}, "c", errored=True)]
    frame = runs_frame(results)
    assert list(frame["trial_id"]) == ["a", "b", "c"]
    assert list(frame["failure"]) == ["", "diverged", "error"]
    losses = losses_by_trial(results)
    assert list(losses) == ["a"]
    assert losses["a"].dtype == np.float64
    assert losses["a"].tolist() == [11.5, 12.5]
    assert runs_frame([]).empty
    histories = histories_by_trial(results)
    assert list(histories) == ["a"]
    assert histories["a"]["epoch"].tolist() == [1.0, 2.0]
    assert histories["a"]["tokens"].tolist() == [450.0, 900.0]
