"""Which knobs a sweep fixes, which it searches and how far, and the baselines that follow from it."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from orchestrator.spec.errors import Problem, ProblemsError
from orchestrator.spec.overrides import Changes, VariantPlan, parse_value, plan_variants
from search_spaces.space import Extent, load_space
from trainables.variants import BASELINE, load_variant, variant_names

ALL = [name for name in variant_names() if name != BASELINE]


def plans(
    variants: dict[str, Changes] | list[str],
    knobs: dict[str, Any] | None = None,
    ranges: dict[str, Any] | None = None,
    epochs: int = 20,
) -> dict[str, VariantPlan]:
    chosen = variants if isinstance(variants, dict) else {name: own(name) for name in variants}
    found = plan_variants(chosen, Changes(knobs or {}, ranges or {}), extent=Extent(epochs))
    return {plan.variant: plan for plan in found}


def own(name: str, knobs: dict[str, Any] | None = None, ranges: dict[str, Any] | None = None) -> Changes:
    return Changes(knobs or {}, ranges or {}, ("variants", name))


def problems(*arguments: Any, **keywords: Any) -> list[Problem]:
    with pytest.raises(ProblemsError) as caught:
        plans(*arguments, **keywords)
    return caught.value.problems


# -- which knobs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_without_changes_a_plan_is_the_search_space(name: str) -> None:
    assert plans([name], epochs=10)[name] == VariantPlan(
        name, {}, dict(load_space(name).distributions(Extent(10)))
    )


def test_a_shared_knob_is_fixed_where_a_variant_has_it() -> None:
    found = plans(["vanilla", "cyclical"], {"cycles": 3, "hidden_size": 32, "learning_rate": 1})
    assert found["vanilla"].knobs == {"hidden_size": 32, "learning_rate": 1.0}
    assert found["cyclical"].knobs == {"cycles": 3, "hidden_size": 32, "learning_rate": 1.0}
    assert isinstance(found["vanilla"].knobs["learning_rate"], float)
    assert list(found["cyclical"].distributions) == ["ramp_share", "word_keep_rate"]


def test_what_a_variant_says_goes_before_what_all_say() -> None:
    chosen = {
        "cyclical": own("cyclical", {"word_keep_rate": 0.5}, {"cycles": [2, 3]}),
        "annealed": own("annealed"),
    }
    found = plans(chosen, {"cycles": 9}, {"word_keep_rate": [0.25, 1]})
    assert found["cyclical"].knobs == {"word_keep_rate": 0.5}
    assert found["cyclical"].distributions["cycles"] == IntDistribution(2, 3)
    assert found["annealed"].distributions["word_keep_rate"] == FloatDistribution(0.25, 1.0)


def test_a_fixed_slot_brings_its_knobs_and_takes_others() -> None:
    found = plans(["vanilla", "dilated"], {"decoder": "dilated", "dilation": [1, 2, 4]})
    assert found["vanilla"].knobs == {"decoder": "dilated", "dilation": "1-2-4"}
    assert list(found["dilated"].distributions) == ["word_keep_rate"]
    assert list(plans(["dilated"], {"decoder": "lstm"})["dilated"].distributions) == ["word_keep_rate"]
    assert list(plans(["annealed"], {"schedule": "cyclical"})["annealed"].distributions) == ["word_keep_rate"]


def test_a_searched_slot_leaves_out_what_some_of_its_parts_lack() -> None:
    found = plans(["dilated"], {}, {"decoder": ["lstm", "dilated"], "dropout": [0, 0.5]})["dilated"]
    assert found.distributions == {
        "word_keep_rate": FloatDistribution(0.0, 1.0),
        "decoder": CategoricalDistribution(("lstm", "dilated")),
        "dropout": FloatDistribution(0.0, 0.5),
    }
    assert problems(["vanilla"], {"dilation": "M"}, {"decoder": ["lstm", "dilated"]}) == [
        Problem(
            ("knobs", "dilation"),
            "vanilla has a knob 'dilation' only for some choices of decoder: fix decoder, or leave it out",
        )
    ]


@pytest.mark.parametrize("name", ALL)
def test_every_end_and_choice_of_a_plan_is_taken_by_its_variant(name: str) -> None:
    plan = plans([name], {"hidden_size": 16}, {"learning_rate": {"low": 1e-4, "high": 1, "log": True}})[name]
    for knob, found in plan.distributions.items():
        ends = found.choices if isinstance(found, CategoricalDistribution) else (found.low, found.high)  # type: ignore[attr-defined]
        for value in ends:
            assert load_variant(name).with_knobs(plan.knobs | {knob: value}).knobs()[knob] == value


# -- ranges ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knob", "raw", "found"),
    [
        ("batch_size", [8, 64], IntDistribution(8, 64)),
        ("batch_size", [8, 8], IntDistribution(8, 8)),
        ("batch_size", {"low": 8, "high": 64, "log": True}, IntDistribution(8, 64, log=True)),
        ("batch_size", {"low": 8, "high": 64, "step": 8}, IntDistribution(8, 64, step=8)),
        ("batch_size", {"choices": [32]}, CategoricalDistribution((32,))),
        ("learning_rate", [1, 2], FloatDistribution(1.0, 2.0)),
        ("learning_rate", {"low": 0.1, "high": 0.7, "step": 0.2}, FloatDistribution(0.1, 0.7, step=0.2)),
        ("learning_rate", {"choices": [1, 0.5]}, CategoricalDistribution((1.0, 0.5))),
        ("posterior_bias", [True, False], CategoricalDistribution((True, False))),
        ("decoder", ["lstm"], CategoricalDistribution(("lstm",))),
        ("dilation", ["S", [1, 2, 4]], CategoricalDistribution(("S", "1-2-4"))),
    ],
)
def test_a_range_becomes_a_distribution(knob: str, raw: Any, found: BaseDistribution) -> None:
    assert plans(["dilated"], {}, {knob: raw})["dilated"].distributions[knob] == found


FORMS = "[low, high], {low: …, high: …, log: …, step: …} or {choices: […]}"


@pytest.mark.parametrize(
    ("knob", "raw", "message"),
    [
        ("batch_size", [], "batch_size must have a range that is not empty, got []"),
        ("batch_size", [1], f"batch_size must have a range {FORMS}, got [1]"),
        ("batch_size", [1, 2, 3], f"batch_size must have a range {FORMS}, got [1, 2, 3]"),
        ("batch_size", 3, f"batch_size must have a range {FORMS}, got 3"),
        ("batch_size", None, f"batch_size must have a range {FORMS}, got None"),
        ("batch_size", {}, f"batch_size must have a range {FORMS}, got {{}}"),
        ("batch_size", {"low": 1}, f"batch_size must have a range {FORMS}, got {{'low': 1}}"),
        (
            "batch_size",
            {"choices": [1], "log": True},
            f"batch_size must have a range {FORMS}, got {{'choices': [1], 'log': True}}",
        ),
        ("batch_size", [9, 8], "batch_size must have a range with low <= high, got [9, 8]"),
        ("batch_size", [0, 8], "batch_size must be >= 1, got 0"),
        ("batch_size", [1.0, 8], "batch_size must be of type int, got 1.0"),
        ("batch_size", [True, 8], "batch_size must be of type int, got True"),
        ("word_keep_rate", [0, 1.5], "word_keep_rate must be in [0, 1], got 1.5"),
        ("word_keep_rate", [0, float("inf")], "word_keep_rate must be finite, got inf"),
        (
            "word_keep_rate",
            {"low": 0, "high": 1, "log": 3},
            "word_keep_rate must have a range where log is true or false, got 3",
        ),
        (
            "word_keep_rate",
            {"low": 0, "high": 1, "log": True},
            "word_keep_rate must have a range with low > 0 where log is true, got [0.0, 1.0]",
        ),
        (
            "batch_size",
            {"low": 1, "high": 8, "step": 2},
            "batch_size must have a step that divides 8 - 1 evenly, got 2",
        ),
        (
            "batch_size",
            {"low": 1, "high": 8, "step": 0.5},
            "batch_size must have a step that is an integer > 0, got 0.5",
        ),
        (
            "word_keep_rate",
            {"low": 0, "high": 1, "step": 0},
            "word_keep_rate must have a step that is a number > 0, got 0",
        ),
        (
            "batch_size",
            {"low": 1, "high": 8, "step": 7, "log": True},
            "batch_size must have a range with log or with step, not both,"
            " got {'low': 1, 'high': 8, 'step': 7, 'log': True}",
        ),
        ("batch_size", {"choices": []}, "batch_size must have choices that are a list and not empty, got []"),
        ("batch_size", {"choices": 3}, "batch_size must have choices that are a list and not empty, got 3"),
        (
            "clip_norm",
            {"choices": [1, 1.0]},
            "clip_norm must have choices that differ, got 1.0 twice in [1, 1.0]",
        ),
        ("decoder", ["lstm", "cnn"], "decoder must be one of lstm, dilated, got 'cnn'"),
        ("decoder", [["lstm"]], "decoder must be of type str, got ['lstm']"),
        (
            "decoder",
            {"low": "a", "high": "b"},
            "decoder is no number: it must have a range {choices: […]}, got {'low': 'a', 'high': 'b'}",
        ),
    ],
)
def test_a_range_that_cannot_be(knob: str, raw: Any, message: str) -> None:
    assert problems(["vanilla", "annealed"], {}, {knob: raw}) == [Problem(("ranges", knob), message)]
    below = problems({"vanilla": own("vanilla", {}, {knob: raw})})
    assert below == [Problem(("variants", "vanilla", "ranges", knob), message)]


# -- what cannot be ----------------------------------------------------------------------------------


def test_unknown_knobs() -> None:
    assert problems(["vanilla", "cyclical"], {"cycels": 3, "dilation": "S"}, {"cycle": [1, 2]}) == [
        Problem(("knobs", "cycels"), "no chosen variant has a knob 'cycels'; did you mean 'cycles'?"),
        Problem(
            ("knobs", "dilation"), "no chosen variant has a knob 'dilation'; it comes with decoder=dilated"
        ),
        Problem(("ranges", "cycle"), "no chosen variant has a knob 'cycle'; did you mean 'cycles'?"),
    ]


def test_an_unknown_knob_of_one_variant() -> None:
    path = ("variants", "vanilla", "knobs", "cycles")
    text = "vanilla has no knob 'cycles'; it comes with schedule=cyclical"
    assert problems({"vanilla": own("vanilla", {"cycles": 3})}) == [Problem(path, text)]


def test_fixed_and_searched_in_one_place() -> None:
    text = "cycles must be fixed or have a range, got both"
    assert problems(["cyclical"], {"cycles": 1}, {"cycles": [1, 2]}) == [Problem(("ranges", "cycles"), text)]
    below = {"cyclical": own("cyclical", {"cycles": 1}, {"cycles": [1, 2]})}
    assert problems(below) == [Problem(("variants", "cyclical", "ranges", "cycles"), text)]


def test_a_slot_with_an_unknown_part_hides_nothing_else() -> None:
    found = problems(["vanilla"], {"optimizer": "adamw", "decay_from": 3})
    assert found == [Problem(("knobs", "optimizer"), "optimizer must be one of adam, sgd, got 'adamw'")]


def test_values_of_any_kind_are_refused_in_words() -> None:
    for value in ({"low": 1}, [1], None, "x", True, 1.5):
        (problem,) = problems(["vanilla"], {"hidden_size": value})
        assert problem.message == f"hidden_size must be of type int, got {value!r}"
    (problem,) = problems(["vanilla"], {"learning_rate": 10**400})
    assert problem.message == f"learning_rate must be finite, got 1{'0' * 79}…"


# -- values of a command line ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knob", "text", "value"),
    [
        ("cycles", "3", 3),
        ("learning_rate", "1e-3", 0.001),
        ("posterior_bias", "True", True),
        ("dilation", "1-2-4", "1-2-4"),
        ("dilation", "1", "1"),
        ("decoder", "lstm", "lstm"),
        ("decay_from", "7", 7),
        ("nothing", "7", "7"),
    ],
)
def test_text_takes_the_type_of_the_knob(knob: str, text: str, value: Any) -> None:
    found = parse_value(knob, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("knob", ["hidden_size", "dropout", "learning_rate", "optimizer", "batch_size"])
def test_what_the_baseline_has_too_is_fixed_at_the_top(knob: str) -> None:
    value = {"dropout": 0.5, "learning_rate": 0.1, "optimizer": "sgd"}.get(knob, 32)
    own = Changes({knob: value}, {}, ("variants", "annealed"))
    with pytest.raises(ProblemsError) as caught:
        plan_variants({"annealed": own}, Changes(), extent=Extent(10))
    (problem,) = caught.value.problems
    assert problem.path == ("variants", "annealed", "knobs", knob)
    assert problem.message == (
        f"{knob} must be fixed at the top, so that the baseline has it too, got it for annealed"
    )
