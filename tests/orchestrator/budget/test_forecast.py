"""The forecast by hand from a given pace, and the pace of a real model."""

from __future__ import annotations

import pytest
import torch

from orchestrator.budget.caps import Caps
from orchestrator.budget.forecast import BETWEEN_S, REPORT_S, START_S, Forecast
from orchestrator.budget.probe import Pace, local_slots, probe, probed
from orchestrator.search.costs import Trained
from orchestrator.search.plan import SearchPlan
from orchestrator.spec.budget import Budget
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sections import Resources
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.text.grammar import embedded_corpus

PACE = Pace(update=0.01, updates=100, evaluation=0.5, end=2.0 - BETWEEN_S, examination=3.0, memory=2**30)


def plan_of(**options: object) -> SearchPlan:
    asked = {
        "variants": "cyclical,aggressive",
        "trials": 2,
        "baseline_seeds": 2,
        "replicates": 1,
        "epochs": "10",
    }
    return SearchPlan.of(
        SweepSpec.load(None, {"name": "s", "set": ["aggressive_epochs=1"], **asked, **options})
    )


def forecast(slots: int, **options: object) -> Forecast:
    plan = plan_of(**options)
    return Forecast.of(plan, dict.fromkeys(plan.typical(), PACE), slots)


def test_by_hand() -> None:
    # An epoch of training takes 100 × 0.01 = 1 s and its evaluation 0.5 s. So a trial of 10 epochs takes
    # 10 + 5 + 2 = 17 s, and an aggressive one, with 45 inner steps an update in an epoch, 45 s more: 62 s.
    # Aggressive costs 55 epochs where cyclical costs 10: of 2 trials it gets 0.4, so one, and one replicate.
    found = forecast(1)
    assert [(each.variant, each.trials) for each in found.variants] == [
        ("language_model", 2), ("cyclical", 3), ("aggressive", 2),
    ]  # fmt: skip
    assert [each.trial_seconds for each in found.variants] == pytest.approx([17, 17, 62])
    assert found.trial_seconds == pytest.approx(2 * 17 + 3 * 17 + 2 * 62)
    # Two baselines and a replicate of each are examined, 3 s each.
    assert found.seconds == pytest.approx(START_S + 209 + 4 * 3 + REPORT_S)
    # Up to one seed more for each of the two.
    assert found.most_seconds == pytest.approx(found.seconds + 17 + 62 + 2 * 3)


def test_what_trainings_have_taken() -> None:
    # Of cyclical it is known that 4 epochs do: 4 + 2 + 2 = 8 s. Of aggressive that it takes 5 epochs, and
    # with the inner steps the time of 30: 30 + 2.5 + 2 = 34.5 s. Of the baseline nothing.
    plan = plan_of()
    seen = {"cyclical": Trained(4.0, 4.0), "aggressive": Trained(5.0, 30.0)}
    found = Forecast.of(plan, dict.fromkeys(plan.typical(), PACE), 1, seen)
    assert [each.trial_seconds for each in found.variants] == pytest.approx([17, 8, 34.5])
    assert [each.epochs for each in found.variants] == [10, 4, 5]


def test_what_validation_ends_is_guessed() -> None:
    # Of 20 planned epochs the baseline takes 1.8 times as many. Of three trials of cyclical two are searched,
    # of 2.5 times as many, and one is the best of them once more, of 3 times as many.
    found = forecast(1, epochs="auto")
    assert [each.epochs for each in found.variants] == pytest.approx([36, (50 + 50 + 60) / 3, 55])


def test_several_at_a_time() -> None:
    # Two baselines (17, 17), then in turns cyclical, aggressive (at 0), cyclical (1/3), aggressive (1/2),
    # cyclical (2/3) on two slots: they begin at 17 17 34 51 79 and the last ends at 113.
    assert forecast(2).seconds == pytest.approx(START_S + 113 + 2 * 3 + REPORT_S)


def test_amounts() -> None:
    gpu_hours, cost = forecast(1).amounts(Caps(Budget(price=3.6), Resources(gpus=0.5)))
    assert (gpu_hours, cost) == (pytest.approx(209 / 3600 / 2), pytest.approx(209 / 2 * 0.001))


def test_the_pace_of_a_real_model() -> None:
    corpus = embedded_corpus(3, (640, 40, 30))
    spec = SweepSpec.load(None, {"name": "s", "variants": "vanilla"})
    found = probe(SearchPlan.of(spec).typical()["vanilla"], spec, corpus)
    assert 640 / 64 <= found.updates <= 640 / 64 + 12  # a remainder for each length
    assert 1e-4 < found.update < 1
    assert 0 < found.evaluation < found.end
    assert found.examination > 0
    assert found.memory > 50e6


@pytest.mark.parametrize(("options", "slots"), [({"cpus": 1000.0}, 1), ({"max_concurrent": 1}, 1)])
def test_slots_here(options: dict[str, object], slots: int) -> None:
    assert local_slots(SweepSpec.load(None, {"name": "s", **options})) == slots


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_here_cannot_be_timed() -> None:
    spec = SweepSpec.load(None, {"name": "s", "gpus": 0.5})
    with pytest.raises(SpecError, match="must be run where there is a GPU, as trials ask for one"):
        probed({}, spec, embedded_corpus(3, (40, 20, 20)), 1)
