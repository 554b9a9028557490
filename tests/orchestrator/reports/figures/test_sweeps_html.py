"""Several sweeps in one figure: what is drawn, in plotly's own data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from orchestrator.analysis.sweeps.comparison import Comparison
from orchestrator.reports.figures.sweeps_html import SWEEP_COLOURS, comparison_sections, staircase
from tests.orchestrator.comparison_sweeps import compared


@pytest.fixture(scope="module")
def figures() -> dict[str, go.Figure]:
    two = [compared("a", 13.0, 11.5), compared("b", 14.0, 13.5)]
    sections = comparison_sections(Comparison.of(two), title="a · b")
    return {section.name: section.figure for section in sections}


def drawn(figure: go.Figure, axis: str, colour: str, mode: str = "lines") -> list[go.Scatter]:
    traces = [trace for trace in figure.data if trace.yaxis == axis and trace.mode == mode]
    return [trace for trace in traces if colour in (trace.line.color, trace.marker.line.color)]


@pytest.mark.parametrize(("index", "level", "nll", "gain"), [(0, 13.0, 9.5, 1.5), (1, 14.0, 11.5, 0.5)])
def test_frontiers_over_each_other(
    figures: dict[str, go.Figure], index: int, level: float, nll: float, gain: float
) -> None:
    figure, colour = figures["frontiers"], SWEEP_COLOURS[index]
    (steps,) = drawn(figure, "y", colour)
    assert steps.line.shape == "hv"
    np.testing.assert_allclose([steps.x, steps.y], [[0.0, 2.0], [level, nll]])
    (diagonal,) = drawn(figure, "y", colour, "lines+markers")
    assert diagonal.y[0] == pytest.approx(level)
    assert diagonal.x[1] + diagonal.y[1] == pytest.approx(level)  # all of it NLL + KL = the baseline
    (below,) = drawn(figure, "y2", colour, "markers")
    np.testing.assert_allclose([below.x, below.y], [[2.0], [-gain]])


def test_attainment_is_drawn_in_both_panels(figures: dict[str, go.Figure]) -> None:
    figure = figures["attainment"]
    for index, (level, nll) in enumerate([(13.0, 9.5), (14.0, 11.5)]):
        panels = [drawn(figure, axis, SWEEP_COLOURS[index]) for axis in ("y", "y2")]
        for upper, lower in zip(*panels, strict=True):
            assert set(zip(upper.x, upper.y, strict=True)) >= {(0.0, level), (2.0, level), (2.0, nll)}
            np.testing.assert_allclose(lower.y, np.array(upper.x) + np.array(upper.y) - level)
    assert len(figure.data) == 2 * 3 * 2


def test_a_single_seed_has_no_attainment_figure() -> None:
    alone = [compared(name, results=[]) for name in ("a", "b")]
    assert [section.name for section in comparison_sections(Comparison.of(alone), title="t")] == ["frontiers"]


def test_a_staircase_goes_right_before_it_goes_down() -> None:
    kl, nll = staircase(pd.DataFrame({"kl": [0.0, 2.0], "nll": [10.0, 7.0]}), 5.0, 12.0)
    assert list(zip(kl, nll, strict=True)) == [(0, 12), (0, 10), (2, 10), (2, 7), (5, 7)]
