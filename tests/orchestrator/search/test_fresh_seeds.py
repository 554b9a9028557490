"""What runs behind the searches: only what has something to confirm, and the baselines that it needs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from ray.tune.search import Searcher

from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.search.trial_plan import TrialPlan
from tests.orchestrator.searched import Result, final, plan_of

DILATED = {"dilated": {"ranges": {"dilation": ["S", "M", "L"]}, "knobs": {"word_keep_rate": 1.0}}}


def run(searcher: SweepSearcher, losses: dict[str, Result]) -> list[TrialPlan]:
    """Runs a sweep to its end, one trial after the other; what each comes to by its decoder's dilation."""
    asked: list[TrialPlan] = []
    while isinstance(config := searcher.suggest(f"t{len(asked)}"), dict):
        asked.append(TrialPlan.from_config(config))
        dilation = str(config["knobs"].get("dilation", "S"))
        result = losses[dilation] if config["kind"] != "baseline" else final(12.0, 0.0)
        searcher.on_trial_complete(f"t{len(asked) - 1}", result)
    assert config == Searcher.FINISHED
    return asked


def dilated(**options: Any) -> SweepSearcher:
    asked = {"variants": DILATED, "trials": 3, "baseline_seeds": 4, "replicates": 2}
    return SweepSearcher(plan_of(**{**asked, **options}))


def seeds(asked: list[TrialPlan], kind: str) -> Counter[str]:
    return Counter(str(plan.knobs.get("dilation", "S")) for plan in asked if plan.kind == kind)


def test_a_baseline_that_is_not_picked_has_two_seeds() -> None:
    searcher = dilated()
    assert searcher.planned() == {"language_model": 6, "dilated": 3 + 2}
    asked = run(searcher, {"S": final(11.9), "M": final(11.0), "L": final(11.5)})
    assert seeds(asked, "replicate") == {"M": 2}
    assert seeds(asked, "baseline") == {"S": 2, "M": 4, "L": 2}
    early, late = asked[:6], asked[9:]
    assert [plan.seed for plan in early] == [7, 7, 7, 8, 8, 8]
    assert [(plan.kind, plan.seed) for plan in late] == [
        ("replicate", 8), ("replicate", 9), ("baseline", 9), ("baseline", 10)
    ]  # fmt: skip
    assert searcher.planned() == {"language_model": 8, "dilated": 5}


def test_a_decoder_that_some_variant_is_sure_to_have_has_all_its_seeds_first() -> None:
    searcher = dilated(variants={**DILATED, "vanilla": {"knobs": {"decoder": "dilated"}}})
    assert searcher.planned()["language_model"] == 4 + 2 + 2
    asked = run(searcher, {"S": final(11.0), "M": final(11.5), "L": final(11.5)})
    assert [seeds(asked[:8], "baseline"), seeds(asked, "baseline")] == [{"S": 4, "M": 2, "L": 2}] * 2


@pytest.mark.parametrize(("seeds_in_all", "early"), [(1, 1), (2, 2)])
def test_of_few_seeds_none_waits(seeds_in_all: int, early: int) -> None:
    asked = run(dilated(baseline_seeds=seeds_in_all), dict.fromkeys("SML", final(11.0)))
    assert set(seeds(asked, "baseline").values()) == {early}
    assert seeds(asked[: 3 * early], "baseline") == seeds(asked, "baseline")


def test_what_leaves_its_latent_variable_unused_is_not_run_again() -> None:
    searcher = dilated()
    asked = run(searcher, {"S": final(11.9, 0.49), "M": final(11.0, 0.4), "L": final(11.5, 0.0)})
    assert (len(asked), seeds(asked, "replicate")) == (9, {})
    assert set(seeds(asked, "baseline").values()) == {2}
    assert searcher.planned() == {"language_model": 6, "dilated": 3}


@pytest.mark.parametrize(
    ("options", "kl"),
    [
        ({}, 0.5),
        ({"search": {"kl_floor": 0.0}}, 0.0),
        ({"search": {"objective": "elbo"}}, 0.0),
    ],
)
def test_what_uses_it_is_run_again_though_it_gains_nothing(options: dict[str, Any], kl: float) -> None:
    """By IW-NLL it may."""
    asked = run(dilated(**options), dict.fromkeys("SML", final(12.5, kl)))
    assert sum(seeds(asked, "replicate").values()) == 2
    assert sorted(seeds(asked, "baseline").values()) == [2, 2, 4]


def test_a_baseline_is_not_run_twice_for_two_that_pick_it() -> None:
    fixed = {"decoder": "dilated", "cycles": 2, "ramp_share": 0.5, "word_keep_rate": 1.0}
    variants = {**DILATED, "cyclical": {**DILATED["dilated"], "knobs": fixed}}
    asked = run(dilated(variants=variants), {"S": final(11.9), "M": final(11.0), "L": final(11.5)})
    assert seeds(asked, "replicate") == {"M": 4}
    assert seeds(asked, "baseline") == {"S": 2, "M": 4, "L": 2}
    assert len({plan.identity for plan in asked}) == len(asked)
