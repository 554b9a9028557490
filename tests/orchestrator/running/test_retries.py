"""A trial's tries: given back where it has come further, used up where it has not."""

from __future__ import annotations

from typing import Any

import pytest
from ray.tune.experiment import Trial

from orchestrator.running.retries import FAILURES_A_TRIAL, Retries


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
