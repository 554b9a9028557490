"""Which language models a sweep needs as baselines, with which knobs, and what is searched for them."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from orchestrator.spec.baselines import plan_baselines
from orchestrator.spec.overrides import Changes, VariantPlan, plan_variants
from search_spaces.space import Extent
from tests.orchestrator.spec.test_overrides import ALL, own, plans
from trainables.variants import BASELINE, load_variant


def planned_baselines(
    chosen: Any, knobs: dict[str, Any] | None = None, ranges: dict[str, Any] | None = None
) -> list[VariantPlan]:
    found = plans(chosen, knobs, ranges=ranges or {})
    return plan_baselines(list(found.values()), Changes(knobs or {}, ranges or {}))


def baselines(*arguments: Any, **keywords: Any) -> list[dict[str, Any]]:
    return [plan.knobs for plan in planned_baselines(*arguments, **keywords)]


def test_a_baseline_for_each_decoder_in_use() -> None:
    assert baselines(["vanilla", "annealed"]) == [{"decoder": "lstm"}]
    assert baselines(["dilated"]) == [
        {"decoder": "dilated", "dilation": size} for size in ("S", "M", "L", "VL")
    ]
    assert baselines(["dilated", "vanilla"], knobs={"dilation": "M"}) == [
        {"decoder": "dilated", "dilation": "M"},
        {"decoder": "lstm"},
    ]
    assert baselines(["vanilla"], ranges={"decoder": ["lstm", "dilated"]}) == [
        {"decoder": "lstm"},
        {"decoder": "dilated", "dilation": "S"},
    ]
    assert baselines({"vanilla": own("vanilla", {"decoder": "dilated"}, {"dilation": ["S", "1-9"]})}) == [
        {"decoder": "dilated", "dilation": "S"},
        {"decoder": "dilated", "dilation": "1-9"},
    ]


def test_a_baseline_is_told_what_its_variants_are_told() -> None:
    told = {"decoder": "lstm", "condition": "label", "label_size": 8}
    assert baselines(["conditional", "vanilla"]) == [told, {"decoder": "lstm"}]
    assert baselines(["skip", "vanilla"]) == [{"decoder": "lstm"}]  # with z = 0 the skips say nothing
    found = baselines(
        {"conditional": own("conditional", {"label_size": 3}, {"skip_connections": [False, True]})}
    )
    assert found == [told | {"label_size": 3}, told | {"label_size": 3, "skip_connections": True}]


def test_a_baseline_takes_the_shared_knobs_of_its_own() -> None:
    knobs = {"optimizer": "sgd", "decay_from": 3, "hidden_size": 32, "dropout": 0.5, "batch_size": 16}
    (found,) = baselines(["vanilla"], knobs=knobs)
    assert found == {"decoder": "lstm"} | knobs
    assert load_variant(BASELINE).with_knobs(found).knobs()["decay_from"] == 3


def test_what_is_searched_at_the_top_is_searched_for_the_baseline_too() -> None:
    ranges: dict[str, Any] = {"learning_rate": [0.001, 0.01], "dropout": [0.0, 0.5], "cycles": [2, 4]}
    (found,) = planned_baselines(["vanilla", "cyclical"], ranges=ranges)
    assert found == VariantPlan(
        BASELINE,
        {"decoder": "lstm"},
        {"learning_rate": FloatDistribution(0.001, 0.01), "dropout": FloatDistribution(0.0, 0.5)},
    )
    (alone,) = planned_baselines({"vanilla": own("vanilla", {}, {"dropout": [0.0, 0.5]})})
    assert alone.distributions == {}
    both = planned_baselines(["vanilla"], ranges={"decoder": ["lstm", "dilated"], "batch_size": [8, 64]})
    assert [plan.knobs["decoder"] for plan in both] == ["lstm", "dilated"]
    assert all(list(plan.distributions) == ["batch_size"] for plan in both)


def test_a_baseline_has_no_z() -> None:
    knobs = {"encoder": "lstm", "latent": "gaussian", "posterior_bias": False, "free_bits": 1.0, "beta": 2.0}
    knobs |= {"schedule": "constant", "kl_target": 3.0, "updates": "aggressive", "inner_limit": 3}
    assert baselines(["vanilla"], knobs=knobs) == [{"decoder": "lstm"}]


@pytest.mark.parametrize("name", ALL)
def test_every_trial_has_a_baseline_with_its_decoder(name: str) -> None:
    labels = {load_variant(BASELINE).with_knobs(knobs).decoder_label for knobs in baselines([name])}
    plan = plans([name])[name]
    dilations = plan.distributions.get("dilation", CategoricalDistribution((None,)))
    for dilation in dilations.choices:  # type: ignore[attr-defined]
        knobs = {} if dilation is None else {"dilation": dilation}
        assert load_variant(name).with_knobs(knobs).decoder_label in labels


def test_the_baseline_keeps_all_words() -> None:
    (plan,) = plan_variants({"vanilla": Changes()}, Changes({"word_keep_rate": 0.3}), extent=Extent(10))
    assert plan.knobs == {"word_keep_rate": 0.3}
    (baseline,) = plan_baselines([plan], Changes({"word_keep_rate": 0.3, "dropout": 0.2}))
    assert baseline.knobs == {"decoder": "lstm", "dropout": 0.2}
