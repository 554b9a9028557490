"""The pictures and the page of the trainings."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from orchestrator.analysis.results import TrialResult
from orchestrator.common.colours import STYLES
from orchestrator.reports.figures.curve_view import PANELS, CostView, Curve, cost_view
from orchestrator.reports.figures.curves_html import cost_figure, curves_figure, sections
from orchestrator.reports.figures.curves_png import cost_png, curves_png, draw_cost, draw_curves
from tests.orchestrator.reports.figures.test_curve_view import at_budget, curves_of
from tests.orchestrator.sweep_results import small_sweep, trained


def many() -> list[TrialResult]:
    """All variants that have a style, beside the baselines."""
    others = [
        trained(
            f"{name}{seed}", name, "replicate", seed, [20.0, 14.0, 13.0 - 0.1 * number], word_keep_rate=0.5
        )
        for number, name in enumerate(STYLES)
        for seed in (1, 2)
    ]
    return [*small_sweep()[:2], *others]


CASES: dict[str, list[TrialResult]] = {
    "usual": small_sweep(),
    "all variants": many(),
    "baselines alone": small_sweep()[:2],
    "failed": [trained("r", "annealed", "trial", 0, [], failure="diverged", kl_start=0.1)],
    "no runs": [],
}


def shown(case: str) -> tuple[list[Curve], CostView]:
    curves = curves_of(CASES[case])
    return curves, cost_view(curves, at_budget(CASES[case]))


@pytest.mark.parametrize("case", CASES)
def test_png(case: str, tmp_path: Path) -> None:
    curves, cost = shown(case)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curves_png(curves, title="yelp, $5", path=tmp_path / "new" / "curves.png")
        cost_png(cost, title="yelp, $5", path=tmp_path / "new" / "cost.png")
    for name in ("curves", "cost"):
        pixels = image.imread(tmp_path / "new" / f"{name}.png")
        assert pixels.shape[0] >= 1224
        assert 0.005 < float((pixels[:, :, :3] < 0.95).any(axis=2).mean()) < 0.3


@pytest.mark.parametrize("case", CASES)
def test_nothing_in_the_pngs_overlaps_or_leaves_the_page(case: str) -> None:
    curves, cost = shown(case)
    for figure in (draw_curves(curves, "a sweep"), draw_cost(cost, "a sweep")):
        figure.draw_without_rendering()
        legend = figure.legends[0].get_window_extent()
        panels = [axes.get_tightbbox() for axes in figure.axes]
        assert all(panel is not None and panel.x1 <= legend.x0 for panel in panels)
        assert legend.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= legend.y0


def line(figure: Figure, panel: int, colour: str, width: float) -> list[list[float]]:
    """What the lines of a colour and a width show."""
    return [
        np.asarray(found.get_ydata(), dtype=float).tolist()
        for found in figure.axes[panel].get_lines()
        if found.get_color() == colour and found.get_linewidth() == width
    ]


def test_a_line_a_variant_and_thin_ones_for_its_seeds() -> None:
    curves, cost = shown("usual")
    figure = draw_curves(curves, "a sweep")
    annealed, cyclical = STYLES["annealed"].colour, STYLES["cyclical"].colour
    assert [axes.get_ylabel() for axes in figure.axes] == list(PANELS.values())
    assert line(figure, 0, annealed, 1.8) == [[0.5, 1.0, 1.5, 2.0]]
    assert line(figure, 1, annealed, 1.8) == [pytest.approx([0.45, 0.9, 1.35, 1.8])]
    assert line(figure, 0, annealed, 0.8) == [[0.5, 1.0, 1.5, 2.0]] * 2
    assert line(figure, 0, cyclical, 0.8) == []  # a single run is its own mean
    over = draw_cost(cost, "a sweep")
    assert line(over, 0, annealed, 1.8) == [pytest.approx([21.0, 15.0, 12.5, 12.2])]
    assert over.axes[0].get_xscale() == "log"
    texts = [text.get_text() for text in over.legends[0].get_texts()]
    assert {"annealed −0.90 ± 0.22", "budget: 400 tokens"} <= set(texts)


def test_the_sections_of_the_page() -> None:
    curves, cost = shown("usual")
    assert [section.name for section in sections(curves, cost)] == ["cost", "curves"]
    assert sections(*shown("no runs")) == []
    figure = json.loads(curves_figure(curves).to_json())
    assert not any("baseline" in trace["name"] for trace in figure["data"])
    legend = [trace["name"] for trace in figure["data"] if trace["showlegend"]]
    assert legend == ["aggressive", "annealed", "cyclical"]
    bold = [trace for trace in figure["data"] if trace["name"] == "annealed" and "marker" in trace]
    assert len(bold) == len(PANELS)
    over = json.loads(cost_figure(cost).to_json())
    names = [trace["name"] for trace in over["data"] if trace.get("name")]
    assert names == [*cost.labels, "budget: 400 tokens"]
    assert over["layout"]["xaxis"]["type"] == "log"


def test_a_name_is_text_and_not_markup() -> None:
    curves = [replace(curve, variant="<b>x</b>", knobs="a=<img>") for curve in curves_of(small_sweep())]
    for figure in (curves_figure(curves), cost_figure(cost_view(curves, at_budget(small_sweep())))):
        text = json.loads(figure.to_json())
        assert "<img>" not in json.dumps(text)
        assert {trace["name"] for trace in text["data"] if "marker" in trace} == {"&lt;b&gt;x&lt;/b&gt;"}
