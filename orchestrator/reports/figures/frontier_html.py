"""The frontier as a page to explore, in plotly."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from orchestrator.common.colours import FLOOR_COLOUR, GRID, INK, baseline_colour, style
from orchestrator.common.wording import difference, number, plural
from orchestrator.reports.figures.frontier_view import (
    BARS,
    KL_TITLE,
    LOWER_TITLE,
    UPPER_TITLE,
    View,
    view,
)
from orchestrator.reports.figures.page import safe

_UPPER, _LOWER = 1, 2
_LEGEND = {
    "text": "filled: beats the baseline<br>large: on the frontier<br>bars: ±3 standard errors<br> ",
    "font": {"size": 12},
}


def frontier_figure(
    configurations: pd.DataFrame, runs: pd.DataFrame, *, title: str, entropy_floor: float | None
) -> go.Figure:
    """The two panels of ``frontier_png``; hovering shows knobs and figures.

    Args:
        configurations: from ``frontier.configurations``.
        runs: the table that they were made from.
        title: one line over the picture.
        entropy_floor: entropy of the corpus in nats per sentence, or None.
    """
    shown = view(configurations, runs, entropy_floor=entropy_floor)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.6, 0.4], vertical_spacing=0.04)
    _lines(figure, shown)
    for variant, label in shown.labels.items():
        _variant(figure, shown, variant, label)
    _levels(figure, shown)
    notes = shown.notes if shown.baselines else ["no baseline to compare with", *shown.notes]
    note = f"<br><sup>{'; '.join(notes)}</sup>" if notes else ""
    figure.update_layout(
        title={"text": safe(title) + note, "x": 0.01, "xanchor": "left"},
        template="plotly_white", font={"color": INK}, hovermode="closest",
        legend={"groupclick": "togglegroup", "font": {"size": 12}, "tracegroupgap": 2, "title": _LEGEND},
        margin={"l": 70, "r": 20, "t": 70, "b": 60},
    )  # fmt: skip
    figure.update_xaxes(range=shown.kl_limits, gridcolor=GRID, zeroline=False)
    figure.update_yaxes(gridcolor=GRID, zeroline=False)
    figure.update_xaxes(title_text=KL_TITLE, row=_LOWER, col=1)
    figure.update_yaxes(title_text=UPPER_TITLE, range=shown.nll_limits, row=_UPPER, col=1)
    figure.update_yaxes(title_text=LOWER_TITLE, range=shown.delta_limits, row=_LOWER, col=1)
    return figure


def _lines(figure: go.Figure, shown: View) -> None:
    """Iso-ELBO lines of the baselines and the floor, and the frontier's steps."""
    end = shown.kl_limits[1]
    for index, (decoder, level) in enumerate(shown.baselines.items()):
        name = f"baseline, {decoder}: {number(level)}"
        _line(figure, [0.0, end], [level, level - end], name, baseline_colour(index), "dash", markers=True)
    floor = shown.entropy_floor
    if floor is not None:
        _line(
            figure, [0.0, end], [floor, floor - end], f"entropy floor: {number(floor)}", FLOOR_COLOUR, "dot"
        )
    steps = shown.frontier
    _line(figure, steps["kl"].tolist(), steps["nll"].tolist(), "frontier", INK, "solid", shape="hv")


def _levels(figure: go.Figure, shown: View) -> None:
    """Baseline and floor in the lower panel; plotly drops lines from a panel without points."""
    if shown.baselines:
        figure.add_hline(0.0, line={"color": INK, "dash": "dash", "width": 1.5}, row=_LOWER, col=1)
    if shown.floor_band:
        figure.add_hrect(
            *shown.floor_band, fillcolor=FLOOR_COLOUR, opacity=0.15, line_width=0, row=_LOWER, col=1
        )
        figure.add_hline(sum(shown.floor_band) / 2, line={"color": FLOOR_COLOUR, "dash": "dot", "width": 2},
                         row=_LOWER, col=1)  # fmt: skip


def _line(
    figure: go.Figure, kl: list[float], nll: list[float], name: str, colour: str, dash: str,
    *, shape: str = "linear", markers: bool = False,
) -> None:  # fmt: skip
    marker = {"symbol": "diamond", "size": [10, 0], "opacity": 1.0, "color": colour}
    figure.add_trace(
        go.Scatter(
            x=kl, y=nll, name=safe(name), mode="lines+markers" if markers else "lines",
            marker=marker if markers else None, hovertemplate=f"{safe(name)}<extra></extra>",
            line={"color": colour, "dash": dash, "width": 1.5, "shape": shape},
        ),
        row=_UPPER, col=1,
    )  # fmt: skip


def _variant(figure: go.Figure, shown: View, variant: str, label: str) -> None:
    """Pale dots for runs and full marks for configurations, in both panels, under one legend entry."""
    look = style(variant)
    dots = shown.dots[shown.dots["variant"] == variant]
    marks = shown.marks[shown.marks["variant"] == variant]
    pale = {"color": look.colour, "size": 6, "opacity": 0.35, "symbol": "circle"}
    full = {
        "symbol": look.plotly_symbol,
        "size": [12 if on else 9 for on in marks["on_frontier"]],
        "color": [look.colour if wins else "white" for wins in marks["beats_baseline"]],
        "line": {"width": 1.8, "color": [_edge(row, look.colour) for _, row in marks.iterrows()]},
        "opacity": 1.0,
    }
    for row, column in ((_UPPER, "nll"), (_LOWER, "delta")):
        panel = {"row": row, "col": 1}
        common = {"mode": "markers", "legendgroup": variant, "hovertemplate": "%{hovertext}<extra></extra>"}
        figure.add_trace(
            go.Scatter(x=dots["kl"].tolist(), y=dots[column].tolist(), marker=pale, showlegend=False,
                       hovertext=[_run_text(run) for _, run in dots.iterrows()], **common),
            **panel,
        )  # fmt: skip
        errors = marks["nll_seed_se" if row == _UPPER else "gain_se"].where(marks["runs"] > 1, 0.0)
        figure.add_trace(
            go.Scatter(x=marks["kl"].tolist(), y=marks[column].tolist(), marker=full, showlegend=False,
                       error_y=_bars(errors, look.colour),
                       hovertext=[mark_text(mark) for _, mark in marks.iterrows()], **common),
            **panel,
        )  # fmt: skip
    figure.add_trace(
        go.Scatter(x=[None], y=[None], mode="markers", name=safe(label), legendgroup=variant,
                   marker={"symbol": look.plotly_symbol, "color": look.colour, "size": 10}),
        row=_UPPER, col=1,
    )  # fmt: skip


def _edge(row: pd.Series, colour: str) -> str:
    return INK if row["beats_baseline"] and row["on_frontier"] else colour


def _bars(errors: pd.Series, colour: str) -> dict[str, object]:
    return {
        "type": "data",
        "array": (BARS * errors.fillna(0.0)).tolist(),
        "color": colour,
        "thickness": 1.5,
    }


def _run_text(run: pd.Series) -> str:
    head = f"<b>{safe(str(run['variant']))}</b>, one run"
    return "<br>".join(
        [head, *_knobs(run), *_figures(run), f"run {safe(str(run['trial_id']))}, seed {run['seed']}"]
    )


def mark_text(mark: pd.Series) -> str:
    """What hovering over a configuration shows: knobs, figures, how it stands against its baseline."""
    place = "on the frontier" if mark["on_frontier"] else "off the frontier"
    head = f"<b>{safe(str(mark['variant']))}</b>, {place}"
    versus = f"against the baseline {difference(mark['delta'], mark['gain_se'])}"
    averaged = (
        f"mean of {plural(int(mark['runs']), 'fresh run')}"
        if mark["fresh"]
        else "picked by the search: optimistic"
    )
    return "<br>".join([head, *_knobs(mark), *_figures(mark), versus, averaged])


def _knobs(row: pd.Series) -> list[str]:
    return [f"decoder {safe(str(row['decoder']))}", *(safe(knob) for knob in str(row["knobs"]).split())]


def _figures(row: pd.Series) -> list[str]:
    elbo = (
        f"NLL {number(row['nll'])} + KL {number(row['kl'])} = {number(row['nll_plus_kl'])} nats per sentence"
    )
    use = f"mutual information {number(row['mutual_information'])}"
    return [elbo, f"{use}, active units {number(row['active_units'], 1)}"]
