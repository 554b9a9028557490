from __future__ import annotations

import pandas as pd
import pytest

from orchestrator.analysis.frontier import configurations
from orchestrator.analysis.results import TrialResult, losses_by_trial, runs_frame
from orchestrator.analysis.speakers import speakers
from orchestrator.tracking.models.choice import ChosenModel, chosen_models
from tests.orchestrator.sweep_results import small_sweep, trained


def tables(results: list[TrialResult]) -> tuple[pd.DataFrame, pd.DataFrame]:
    runs = runs_frame(results)
    return configurations(runs, losses_by_trial(results)), runs


def test_the_speaking_run_of_each_configuration_on_the_frontier() -> None:
    """On the frontier (NLL, KL): aggressive (9.53, 2), annealed (10.45, 1.75) and cyclical (10.9, 2.0) is
    beaten by aggressive; the baselines at KL 0 are no models."""
    found, runs = tables(small_sweep())
    on_frontier = found[found["on_frontier"]]
    assert set(on_frontier["variant"]) == {"language_model", "annealed", "aggressive"}
    chosen = chosen_models(found, runs, "frontier")
    # a1: NLL 9.5, KL 2; r0: NLL 10.5, KL 1.5, its own rate, not the configuration's 1.75
    assert chosen == [
        ChosenModel("a1", ("best-elbo", "best-at-kl-2")),
        ChosenModel("r0", ()),
    ]
    speaking = [trial_id for trial_id, speaks in speakers(found, runs).items() if speaks]
    assert {model.trial_id for model in chosen} <= set(speaking)


def test_all_that_finished_and_the_same_aliases() -> None:
    found, runs = tables(small_sweep())
    chosen = chosen_models(found, runs, "all")
    assert [model.trial_id for model in chosen] == ["a1", "r0", "b0", "b1", "t0", "r1", "a0", "a2", "c0"]
    assert [model for model in chosen if model.aliases] == [
        model for model in chosen_models(found, runs, "frontier") if model.aliases
    ]


@pytest.mark.parametrize("choice", ["frontier", "all", "none"])
def test_nothing_to_choose_from(choice: str) -> None:
    found, runs = tables([])
    assert chosen_models(found, runs, choice) == []  # type: ignore[arg-type]
    failed = [trained("f0", "vanilla", "trial", 0, [20.0], failure="diverged")]
    assert chosen_models(*tables(failed), choice) == []  # type: ignore[arg-type]
    assert chosen_models(*tables(small_sweep()), "none") == []


def test_a_frontier_of_baselines_alone_has_no_model() -> None:
    results = [
        trained("b0", "language_model", "baseline", 0, [12.0]),
        trained("t0", "vanilla", "trial", 0, [14.0]),  # KL 0.5, NLL 13.5: beaten in both
    ]
    found, runs = tables(results)
    assert chosen_models(found, runs, "frontier") == []
    assert chosen_models(found, runs, "all") == [ChosenModel("b0", ()), ChosenModel("t0", ())]
