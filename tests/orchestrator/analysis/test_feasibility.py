"""What of a sweep keeps the search's constraints. The baselines' mean NLL + KL on validation is 13.1."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.analysis.feasibility import feasible, without_any
from orchestrator.analysis.results import TrialResult
from orchestrator.search.objectives import Elbo, Frontier
from tests.orchestrator.sweep_results import small_sweep, trained


def validated(result: TrialResult) -> TrialResult:
    """With the figures of the best epoch on validation, as a training reports them."""
    best = {name.replace("test/", "best/"): value for name, value in result.final.items()}
    return replace(result, final={**result.final, **best} if result.final else {})


RESULTS = [validated(result) for result in small_sweep()]


def test_which_trials_are_feasible() -> None:
    # t0: 11.0, KL 2.0. r0: 12.0, KL 1.5. r1: 12.4, KL 2.0. a0: 11.5, KL 2.0. c0: 12.9, KL 2.0. c1 failed.
    assert feasible(RESULTS, Frontier(0.5, 0.0)) == dict.fromkeys(
        ("t0", "r0", "r1", "a0", "a1", "a2", "c0"), True
    )
    found = feasible(RESULTS, Frontier(1.75, -0.9))
    assert found == {"t0": True, "r0": False, "r1": False, "a0": True, "a1": True, "a2": True, "c0": False}
    assert feasible(RESULTS, None) == {}


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (Frontier(0.5, 0.0), []),
        (Elbo(), []),
        (
            Frontier(0.5, -0.9),
            ["cyclical: no feasible trial among 1: none has KL ≥ 0.50 and a gain ≥ 0.90, on validation"],
        ),
        (Frontier(2.5, 0.0), [  # the others have been run again, for whatever reason
            "annealed: no feasible trial among 1: none has KL ≥ 2.50 and a gain ≥ 0.00, on validation",
            "aggressive: no feasible trial among 1: none has KL ≥ 2.50 and a gain ≥ 0.00, on validation",
            "cyclical: no feasible trial among 1: none has KL ≥ 2.50 and a gain ≥ 0.00, on validation; as "
            "the best has a KL of 2.00, no fresh seeds were spent on it",
        ]),
    ],
)  # fmt: skip
def test_a_variant_without_a_feasible_trial_is_named(objective: Frontier | Elbo, words: list[str]) -> None:
    assert without_any(RESULTS, objective) == words


def test_a_decoder_without_a_baseline() -> None:
    other = validated(trained("x", "vanilla", "trial", 0, [12.0, 11.0], decoder="dilated"))
    assert feasible([*RESULTS, other], Frontier(0.5, 0.0)).get("x") is None
