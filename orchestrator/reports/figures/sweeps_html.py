"""Several sweeps in one figure: their frontiers, and what they attain on how many training seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from orchestrator.analysis.sweeps.comparison import ComparedSweep, Comparison
from orchestrator.analysis.sweeps.tests import best_first
from orchestrator.common.colours import FAINT, GRID, INK, style
from orchestrator.common.wording import difference, number
from orchestrator.reports.figures.frontier_html import mark_text
from orchestrator.reports.figures.frontier_view import BARS, KL_TITLE, LOWER_TITLE, UPPER_TITLE, View, view
from orchestrator.reports.figures.page import Section, safe

SWEEP_COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#A07800", "#6A3D9A", "#2BA0C8", "#7F3B08",
)  # fmt: skip
ATTAINMENT_TITLE = "On how many seeds it is attained"
ATTAINMENT_TEXT = (
    "Empirical attainment surfaces over fresh training seeds: what lies above and to the right of a line is "
    "attained on one seed at least (best, dotted), on half of them (median), on every one (worst, dashed). "
    "The lower panel shows the same lines as NLL + KL less the sweep's lowest baseline."
)
_LEGEND = "best, less the baseline<br>filled: beats the baseline<br>bars: ±3 standard errors<br> "
_DASHES = {"best": ("dot", 1.5), "median": ("solid", 2.5), "worst": ("dash", 1.5)}
_UPPER, _LOWER = 1, 2


@dataclass(frozen=True)
class _Look:
    """A sweep, how it is drawn, and what of it."""

    sweep: ComparedSweep
    colour: str
    view: View


def comparison_sections(comparison: Comparison, *, title: str) -> list[Section]:
    """The frontiers over each other, then the attainment surfaces where there are any."""
    looks = [
        _Look(
            sweep,
            SWEEP_COLOURS[index % len(SWEEP_COLOURS)],
            view(sweep.configurations, sweep.runs, entropy_floor=None),  # it would squash the lower panel
        )
        for index, sweep in enumerate(comparison.sweeps)
    ]
    sections = [Section("frontiers", _frontiers(looks, title))]
    if len(comparison.surfaces):
        figure = _surfaces(looks, comparison.surfaces)
        sections.append(Section("attainment", figure, ATTAINMENT_TITLE, ATTAINMENT_TEXT))
    return sections


def _frontiers(looks: Sequence[_Look], title: str) -> go.Figure:
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.6, 0.4], vertical_spacing=0.04)
    limits = _limits([look.view.kl_limits for look in looks])
    for look in looks:
        _lines(figure, look, limits[1])
        _marks(figure, look)
    _floors(figure, looks, limits[1])
    _shapes(figure, looks)
    figure.add_hline(0.0, line={"color": INK, "dash": "dash", "width": 1.5}, row=_LOWER, col=1)
    notes = [f"{look.sweep.name}: {note}" for look in looks for note in look.view.notes]
    below = f"<br><sup>{safe('; '.join(notes))}</sup>" if notes else ""
    figure.update_layout(title={"text": safe(title) + below, "x": 0.01, "xanchor": "left"})
    figure.update_yaxes(range=_limits([look.view.nll_limits for look in looks]), row=_UPPER, col=1)
    figure.update_yaxes(range=_limits([look.view.delta_limits for look in looks]), row=_LOWER, col=1)
    return _finished(figure, limits, _LEGEND)


def _lines(figure: go.Figure, look: _Look, end: float) -> None:
    """The frontier's steps and the iso-ELBO lines of the baselines, in the sweep's colour."""
    best = best_first(look.sweep.configurations).head(1)
    figures = [difference(-row["gain"], row["gain_se"]) for _, row in best.iterrows()]
    steps = look.view.frontier
    figure.add_trace(
        go.Scatter(
            x=steps["kl"].tolist(), y=steps["nll"].tolist(), mode="lines", hoverinfo="skip",
            name=safe(" ".join([look.sweep.name, *figures])), legendgroup=look.sweep.name,
            line={"color": look.colour, "width": 2.5, "shape": "hv"},
        ),
        row=_UPPER, col=1,
    )  # fmt: skip
    for decoder, level in look.view.baselines.items():
        name = f"{look.sweep.name}: baseline, {decoder} {number(level)}"
        figure.add_trace(
            go.Scatter(
                x=[0.0, end], y=[level, level - end], mode="lines+markers", showlegend=False,
                hovertemplate=f"{safe(name)}<extra></extra>", legendgroup=look.sweep.name,
                marker={"symbol": "diamond", "size": [10, 0], "opacity": 1.0, "color": look.colour},
                line={"color": look.colour, "dash": "dash", "width": 1.2},
            ),
            row=_UPPER, col=1,
        )  # fmt: skip


def _marks(figure: go.Figure, look: _Look) -> None:
    """The configurations that matter: a shape a variant, the sweep's colour."""
    marks = look.view.marks
    marker = {
        "symbol": [style(str(variant)).plotly_symbol for variant in marks["variant"]],
        "size": [12 if on else 9 for on in marks["on_frontier"]],
        "color": [look.colour if wins else "white" for wins in marks["beats_baseline"]],
        "line": {"width": 1.8, "color": look.colour},
        "opacity": 1.0,
    }
    head = f"<b>{safe(look.sweep.name)}</b><br>"
    for row, column, error in ((_UPPER, "nll", "nll_seed_se"), (_LOWER, "delta", "gain_se")):
        bars = (BARS * marks[error].where(marks["runs"] > 1, 0.0).fillna(0.0)).tolist()
        figure.add_trace(
            go.Scatter(
                x=marks["kl"].tolist(), y=marks[column].tolist(), mode="markers", marker=marker,
                legendgroup=look.sweep.name, showlegend=False, hovertemplate="%{hovertext}<extra></extra>",
                hovertext=[head + mark_text(mark) for _, mark in marks.iterrows()],
                error_y={"type": "data", "array": bars, "color": look.colour, "thickness": 1.2},
            ),
            row=row, col=1,
        )  # fmt: skip


def _floors(figure: go.Figure, looks: Sequence[_Look], end: float) -> None:
    """The entropy floors: one line for all sweeps that share it."""
    by_floor: dict[float, list[_Look]] = {}
    for look in looks:
        if look.sweep.entropy_floor is not None:
            by_floor.setdefault(look.sweep.entropy_floor, []).append(look)
    for floor, having in by_floor.items():
        shared = len(having) == len(looks)
        whose = "" if shared else f"{', '.join(look.sweep.name for look in having)}: "
        figure.add_trace(
            go.Scatter(
                x=[0.0, end], y=[floor, floor - end], mode="lines", hoverinfo="skip",
                name=safe(f"{whose}entropy floor {number(floor)}"),
                line={"color": FAINT if shared else having[0].colour, "dash": "dot", "width": 1.5},
            ),
            row=_UPPER, col=1,
        )  # fmt: skip


def _shapes(figure: go.Figure, looks: Sequence[_Look]) -> None:
    """Legend entries that say which shape is which variant."""
    variants = dict.fromkeys(str(variant) for look in looks for variant in look.view.marks["variant"])
    for variant in variants:
        marker = {"symbol": style(variant).plotly_symbol, "color": FAINT, "size": 10}
        trace = go.Scatter(x=[None], y=[None], mode="markers", name=safe(variant), marker=marker)
        figure.add_trace(trace, row=_UPPER, col=1)


def _surfaces(looks: Sequence[_Look], surfaces: pd.DataFrame) -> go.Figure:
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.55, 0.45], vertical_spacing=0.04)
    kl_limits = _limits([look.view.kl_limits for look in looks])
    nll_limits = _limits([look.view.nll_limits for look in looks])
    delta_limits = _limits([look.view.delta_limits for look in looks])
    for look in looks:
        own = surfaces[surfaces["sweep"] == look.sweep.name]
        level = float(look.sweep.configurations["baseline_nll"].min())
        for surface, (dash, width) in _DASHES.items():
            corners = own[own["surface"] == surface]
            if corners.empty:
                continue
            kl, nll = staircase(corners, kl_limits[1], nll_limits[1])
            name = safe(f"{look.sweep.name}, {surface}")
            common = {
                "mode": "lines", "legendgroup": look.sweep.name, "name": name,
                "line": {"color": look.colour, "dash": dash, "width": width},
            }  # fmt: skip
            figure.add_trace(go.Scatter(x=kl, y=nll, **common), row=_UPPER, col=1)
            below = [x + y - level for x, y in zip(kl, nll, strict=True)]
            nll_limits, delta_limits = _down_to(nll_limits, min(nll)), _down_to(delta_limits, min(below))
            figure.add_trace(go.Scatter(x=kl, y=below, showlegend=False, **common), row=_LOWER, col=1)
    figure.add_hline(0.0, line={"color": INK, "dash": "dash", "width": 1.5}, row=_LOWER, col=1)
    figure.update_yaxes(range=nll_limits, row=_UPPER, col=1)
    figure.update_yaxes(range=delta_limits, row=_LOWER, col=1)
    return _finished(figure, kl_limits, "sweep, surface")


def staircase(corners: pd.DataFrame, end_kl: float, top_nll: float) -> tuple[list[float], list[float]]:
    """A surface as a line from the top to the right edge: what is above and to the right of it is attained.

    Args:
        corners: ``kl`` and ``nll`` by rising KL and falling NLL.
    """
    kl, nll = corners["kl"].tolist(), corners["nll"].tolist()
    steps = [(kl[0], max(top_nll, nll[0]))]
    for index, (x, y) in enumerate(zip(kl, nll, strict=True)):
        steps.append((x, y))
        steps.append((kl[index + 1] if index + 1 < len(kl) else max(end_kl, x), y))
    xs, ys = zip(*steps, strict=True)
    return list(xs), list(ys)


def _limits(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    finite = [part for part in parts if all(map(math.isfinite, part))] or [(0.0, 1.0)]
    return min(low for low, _ in finite), max(high for _, high in finite)


def _down_to(limits: tuple[float, float], value: float) -> tuple[float, float]:
    """Limits with room for the value: a single seed may lie below all means."""
    low, high = limits
    return (min(low, value - 0.04 * (high - value)), high) if math.isfinite(value) else limits


def _finished(figure: go.Figure, kl_limits: tuple[float, float], legend: str) -> go.Figure:
    figure.update_layout(
        template="plotly_white", font={"color": INK}, hovermode="closest",
        legend={"groupclick": "togglegroup", "font": {"size": 12}, "tracegroupgap": 2,
                "title": {"text": legend, "font": {"size": 12}}},
        margin={"l": 70, "r": 20, "t": 70, "b": 60},
    )  # fmt: skip
    figure.update_xaxes(range=kl_limits, gridcolor=GRID, zeroline=False)
    figure.update_yaxes(gridcolor=GRID, zeroline=False)
    figure.update_xaxes(title_text=KL_TITLE, row=_LOWER, col=1)
    figure.update_yaxes(title_text=UPPER_TITLE, row=_UPPER, col=1)
    figure.update_yaxes(title_text=LOWER_TITLE, row=_LOWER, col=1)
    return figure
