"""The comparison view as it is stored; how it looks is test_browser.py's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from orchestrator.tracking.shown.view import (
    MOST_CHARACTERS,
    trial_param,
    view,
    view_link,
    view_page,
    view_tag,
)
from search_spaces.space import Distributions, Extent, load_space
from trainables.variants import variant_names

SPACES: dict[str, Distributions] = {
    "vanilla": {},
    "annealed": {
        "anneal_shape": CategoricalDistribution(("linear", "logistic")),
        "anneal_rate": FloatDistribution(0.1, 1.0),
        "anneal_delay": FloatDistribution(0.0, 1.0),
        "word_keep_rate": FloatDistribution(0.0, 1.0),
    },
    "free_bits": {
        "posterior_bias": CategoricalDistribution((True, False)),
        "free_bits": FloatDistribution(1.0, 10.0, log=True),
    },
    "vq": {"codes": CategoricalDistribution((1, 2, 4)), "codebook_size": IntDistribution(8, 128)},
    "beta": {"schedule": CategoricalDistribution(("constant", "balanced"))},
}


def shown(trials: int = 9, spaces: dict[str, Distributions] = SPACES) -> dict[str, Any]:
    return dict(json.loads(view("it's s", spaces, trials=trials)))


def charts(state: dict[str, Any], section: str, kind: str) -> list[dict[str, Any]]:
    cards = state["compareRunCharts"]
    return [card for card in cards if (card["metricSectionId"], card["type"]) == (section, kind)]


def test_the_frontier_comes_first() -> None:
    state = shown()
    assert (
        state["searchFilter"]
        == "tags.`orchestrator.sweep` = \"it's s\" AND tags.`orchestrator.kind` != 'sweep'"
    )
    assert [(section["name"], section["display"]) for section in state["compareRunSections"]] == [
        ("Frontier", True),
        *((variant, True) for variant in ("annealed", "free_bits", "vq", "beta")),
        *((made, False) for made in ("Model metrics", "best", "test", "train", "probe")),
    ]
    (scatter,) = charts(state, "frontier", "SCATTER")
    assert (scatter["xaxis"]["key"], scatter["yaxis"]["key"]) == ("test/kl", "test/nll")
    (parallel,) = charts(state, "frontier", "PARALLEL")
    assert parallel["selectedParams"] == ["variant"]  # no knob: all trials have it, none is left out
    curves = charts(state, "frontier", "LINE")
    assert [curve["metricKey"] for curve in curves] == ["kl", "mutual_information", "nll", "nll_plus_kl"]
    places = {section["uuid"] for section in state["compareRunSections"]}
    assert {card["metricSectionId"] for card in state["compareRunCharts"]} <= places
    names = [card["uuid"] for card in state["compareRunCharts"]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("variant", "kind", "axes"),
    [
        (
            "annealed",
            "CONTOUR",
            {"xaxis": "anneal_rate", "yaxis": "anneal_delay", "zaxis": "test/nll_plus_kl"},
        ),
        ("free_bits", "SCATTER", {"xaxis": "free_bits", "yaxis": "test/nll_plus_kl"}),
        ("vq", "CONTOUR", {"xaxis": "codes", "yaxis": "codebook_size", "zaxis": "test/nll_plus_kl"}),
    ],
)
def test_a_variant_over_its_first_numbers(variant: str, kind: str, axes: dict[str, str]) -> None:
    state = shown()
    (parallel,) = charts(state, variant, "PARALLEL")
    assert parallel["selectedParams"] == [trial_param(variant), *SPACES[variant]]
    assert parallel["selectedMetrics"][-1] == "test/nll_plus_kl"
    (card,) = charts(state, variant, kind)
    assert {axis: card[axis]["key"] for axis in axes} == axes
    assert {card[axis]["type"] for axis in axes if axes[axis] in SPACES[variant]} == {"PARAM"}


def test_without_numbers_there_are_parallel_coordinates_alone() -> None:
    assert [card["type"] for card in shown()["compareRunCharts"] if card["metricSectionId"] == "beta"] == [
        "PARALLEL"
    ]
    assert [section["name"] for section in shown(spaces={})["compareRunSections"]][:2] == [
        "Frontier",
        "Model metrics",
    ]


def test_of_more_runs_than_are_loaded_the_frontier_goes_first() -> None:
    few, many = shown(trials=100), shown(trials=101)
    assert (few["orderByKey"], few["orderByAsc"]) == ("metrics.`test/nll_plus_kl`", True)
    assert (many["orderByKey"], many["orderByAsc"]) == ("tags.`frontier`", False)
    assert many["compareRunSections"][0]["name"] == "Frontier: the first 100 of 101 runs"


def test_it_fits_into_a_tag() -> None:
    spaces = {name: load_space(name).distributions(Extent(12, 12)) for name in variant_names()}
    text = view("s" * 250, spaces, trials=1000)
    assert all(f'"{name}: parallel"' in text for name, space in spaces.items() if space)
    many = {f"{variant} {number}": space for variant, space in spaces.items() for number in range(9)}
    shortened = view("s" * 250, many, trials=1000)
    assert MOST_CHARACTERS - 1000 < len(shortened) <= MOST_CHARACTERS
    json.loads(shortened)


def test_links() -> None:
    key = view_tag("s").removeprefix("mlflow.sharedViewState.")
    page = f"#/experiments/7/runs?workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey={key}"
    assert view_page("7", "s") == page
    assert view_link("http://host:1/", "7", "s") == f"http://host:1/{page}"
