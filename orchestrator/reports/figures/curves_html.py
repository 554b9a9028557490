"""The trainings as figures of the page: metrics by epoch, and NLL + KL over what it cost, in plotly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from orchestrator.analysis.equal_compute import TOKENS
from orchestrator.common.colours import GRID, INK, style
from orchestrator.common.wording import number, plural, thousands
from orchestrator.reports.figures.curve_view import (
    AT_BUDGET_TITLE,
    COST_TITLE,
    CURVES_TITLE,
    PANELS,
    SO_FAR,
    SO_FAR_TITLE,
    CostView,
    Curve,
    panel_limits,
)
from orchestrator.reports.figures.page import Section, safe

COST_HEADING = "At equal compute"
COST_TEXT = (
    "Each variant's best configuration, means over its fresh seeds ± 1 standard error. A gain in the legend "
    "compares the best epochs that the budget pays for, on validation; its error is that of the seeds alone."
)
CURVES_HEADING = "Over training"
CURVES_TEXT = (
    "The same configurations on validation after each epoch; thin lines are single seeds. "
    "A click on a name hides a variant."
)
_MARK = {"size": 9, "maxdisplayed": 15, "line": {"color": "white", "width": 1}}
_BASELINE_DASHES = ("dash", "dashdot", "dot", "longdash")


def sections(curves: Sequence[Curve], shown: CostView) -> list[Section]:
    """What the page shows of the trainings, below the frontier; nothing where no epochs are known.

    Args:
        curves: from ``curve_view.training_curves``.
        shown: from ``curve_view.cost_view``.
    """
    if not curves:
        return []
    return [
        Section("cost", cost_figure(shown), COST_HEADING, COST_TEXT),
        Section("curves", curves_figure(curves), CURVES_HEADING, CURVES_TEXT),
    ]


def curves_figure(curves: Sequence[Curve]) -> go.Figure:
    """The four panels of ``curves_png``; an entry of the legend hides a variant in all of them."""
    figure = make_subplots(rows=2, cols=2, shared_xaxes=True, vertical_spacing=0.05, horizontal_spacing=0.09)
    for index, (name, title) in enumerate(PANELS.items()):
        panel = {"row": index // 2 + 1, "col": index % 2 + 1}
        for curve in curves:
            if not curve.baseline:
                figure.add_traces(list(_by_epoch(curve, name, first=index == 0)), rows=panel["row"],
                                  cols=panel["col"])  # fmt: skip
        figure.update_yaxes(title_text=title, range=panel_limits(curves, name), **panel)
    for column in (1, 2):
        figure.update_xaxes(title_text="epoch", row=2, col=column)
    return _finished(figure, CURVES_TITLE)


def cost_figure(shown: CostView) -> go.Figure:
    """The panel of ``cost_png``."""
    figure = go.Figure()
    for index, (curve, label) in enumerate(zip(shown.curves, shown.labels, strict=True)):
        figure.add_traces(list(_over_cost(curve, label, index)))
    if shown.budget is not None:
        figure.add_trace(
            go.Scatter(x=[shown.budget] * 2, y=list(shown.limits), mode="lines", name=shown.budget_label,
                       hoverinfo="skip",
                       line={"color": INK, "dash": "dot", "width": 1.5})
        )  # fmt: skip
    figure.update_xaxes(title_text=COST_TITLE, type="log" if shown.logarithmic else "linear")
    figure.update_yaxes(title_text=SO_FAR_TITLE, range=shown.limits)
    return _finished(figure, AT_BUDGET_TITLE)


def _by_epoch(curve: Curve, metric: str, *, first: bool) -> Iterator[go.Scatter]:
    look, name = style(curve.variant), safe(curve.name)
    common = {"legendgroup": curve.variant, "name": name}
    for seed in curve.seeds if len(curve.seeds) > 1 else ():
        yield go.Scatter(
            x=seed["epoch"].tolist(), y=seed[metric].tolist(), mode="lines", opacity=0.4, showlegend=False,
            line={"color": look.colour, "width": 1}, hoverinfo="skip", **common,
        )  # fmt: skip
    yield go.Scatter(
        x=curve.mean["epoch"].tolist(), y=curve.mean[metric].tolist(), mode="lines+markers", showlegend=first,
        line={"color": look.colour, "width": 2.5}, marker=_MARK | {"symbol": look.plotly_symbol},
        hovertemplate=f"{_about(curve)}<br>epoch %{{x}}: %{{y:.3g}}<extra></extra>", **common,
    )  # fmt: skip


def _over_cost(curve: Curve, label: str, index: int) -> Iterator[go.Scatter]:
    colour = curve.colour(index)
    tokens, centre = curve.mean[TOKENS].tolist(), curve.mean[SO_FAR]
    error, group = curve.error[SO_FAR], f"{curve.variant} {curve.decoder}"
    if error.notna().any():
        yield go.Scatter(
            x=[*tokens, *tokens[::-1]], y=[*(centre + error), *(centre - error)[::-1]], fill="toself",
            fillcolor=colour, opacity=0.15, line={"width": 0}, mode="lines", hoverinfo="skip",
            showlegend=False, legendgroup=group,
        )  # fmt: skip
    yield go.Scatter(
        x=tokens, y=centre.tolist(), mode="lines" if curve.baseline else "lines+markers", name=safe(label),
        line={"color": colour, "width": 2.5, "dash": _dash(index) if curve.baseline else "solid"},
        marker=_MARK | ({} if curve.baseline else {"symbol": style(curve.variant).plotly_symbol}),
        hovertext=[_epoch_text(curve, row) for _, row in curve.mean.iterrows()],
        hovertemplate="%{hovertext}<extra></extra>", legendgroup=group,
    )  # fmt: skip


def _dash(index: int) -> str:
    return _BASELINE_DASHES[index % len(_BASELINE_DASHES)]


def _about(curve: Curve) -> str:
    knobs = [safe(knob) for knob in curve.knobs.split()]
    return "<br>".join([f"<b>{safe(curve.name)}</b>, mean of {plural(len(curve.seeds), 'run')}", *knobs])


def _epoch_text(curve: Curve, row: pd.Series) -> str:
    return "<br>".join([
        _about(curve),
        f"epoch {row['epoch']:.0f}, after {thousands(row[TOKENS])} tokens",
        f"NLL {number(row['nll'])} + KL {number(row['kl'])} = {number(row['nll_plus_kl'])} on validation",
        f"lowest so far {number(row[SO_FAR])}",
    ])  # fmt: skip


def _finished(figure: go.Figure, legend: str) -> go.Figure:
    figure.update_layout(
        template="plotly_white", font={"color": INK}, hovermode="closest",
        legend={"groupclick": "togglegroup", "font": {"size": 12}, "tracegroupgap": 2,
                "title": {"text": legend, "font": {"size": 12}}},
        margin={"l": 70, "r": 20, "t": 45, "b": 60},
    )  # fmt: skip
    figure.update_xaxes(gridcolor=GRID, zeroline=False)
    figure.update_yaxes(gridcolor=GRID, zeroline=False)
    return figure
