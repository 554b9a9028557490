"""The frontier as a picture for a README: matplotlib, without pyplot's global state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from orchestrator.figure_style import FAINT, FLOOR_COLOUR, GRID, INK, baseline_colour, style
from orchestrator.figure_view import (
    KL_TITLE,
    LINES_TITLE,
    LOWER_TITLE,
    UPPER_TITLE,
    VARIANTS_TITLE,
    View,
    view,
)
from orchestrator.gain import SIGNIFICANT
from orchestrator.wording import number

_Dash = tuple[float, tuple[int, ...]]
_DASHES: tuple[_Dash, ...] = ((0, (4, 2)), (0, (6, 2, 1, 2)), (0, (2, 1)), (0, (8, 3)))
_WIDTH, _HEIGHT, _LEGEND_LINE = 9.6, 7.2, 0.235  # inches


def frontier_png(
    configurations: pd.DataFrame, runs: pd.DataFrame, *, title: str, entropy_floor: float | None, path: Path
) -> None:
    """Draw reconstruction NLL over KL, and NLL + KL less the baseline's beneath it, into a PNG file.

    Args:
        configurations: from ``frontier.configurations``.
        runs: the table that they were made from.
        title: one line over the picture.
        entropy_floor: entropy of the corpus in nats per sentence, or None.
        path: the file to write.
    """
    figure = draw(view(configurations, runs, entropy_floor=entropy_floor), title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def draw(shown: View, title: str) -> Figure:
    """The picture itself: two panels on the left, everything that explains them on the right."""
    legend = _legend(shown)
    height = max(_HEIGHT, 1.2 + _LEGEND_LINE * len(legend))
    figure = Figure(figsize=(_WIDTH, height), dpi=170, facecolor="white")
    FigureCanvasAgg(figure)
    figure.set_layout_engine(ConstrainedLayoutEngine(h_pad=0.09, w_pad=0.09, hspace=0.03))
    figure.suptitle(_plain(title), x=0.012, ha="left", fontsize=13, color=INK)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _plane(upper, shown)
    _differences(lower, shown)
    _write_legend(figure, legend)
    return figure


def _plane(axes: Axes, shown: View) -> None:
    _prepare(axes, UPPER_TITLE)
    axes.set_xlim(*shown.kl_limits)
    axes.set_ylim(*shown.nll_limits)
    kl = np.array([0.0, max(shown.kl_limits)])
    for index, level in enumerate(shown.baselines.values()):
        dashes, colour = _DASHES[index % len(_DASHES)], baseline_colour(index)
        axes.plot(kl, level - kl, linestyle=dashes, linewidth=1.2, color=colour, zorder=2)
        axes.plot(0.0, level, marker="D", markersize=7, color=colour, markeredgecolor="white", zorder=9)
    if shown.entropy_floor is not None:
        axes.plot(kl, shown.entropy_floor - kl, linestyle=":", linewidth=1.8, color=FLOOR_COLOUR, zorder=2)
    _dots(axes, shown, "nll")
    axes.step(shown.frontier["kl"], shown.frontier["nll"], where="post", color=INK, linewidth=1.2, alpha=0.8,
              zorder=5)  # fmt: skip
    for _, row in shown.marks.iterrows():
        _mark(axes, row, "nll", SIGNIFICANT * row["nll_seed_se"], SIGNIFICANT * row["kl_seed_se"])
    if shown.dots.empty:
        _remark(axes, "no finished trial")


def _differences(axes: Axes, shown: View) -> None:
    _prepare(axes, LOWER_TITLE)
    axes.set_xlabel(KL_TITLE, fontsize=11, color=INK)
    axes.set_ylim(*shown.delta_limits)
    if not shown.baselines:
        _remark(axes, "no baseline to compare with")
        return
    axes.axhline(0.0, linestyle="--", linewidth=1.2, color=INK, zorder=2)
    if shown.floor_band:
        low, high = shown.floor_band
        axes.axhspan(low, high, color=FLOOR_COLOUR, alpha=0.15, linewidth=0, zorder=1)
        axes.axhline((low + high) / 2, linestyle=":", linewidth=1.8, color=FLOOR_COLOUR, zorder=2)
    _dots(axes, shown, "delta")
    for _, row in shown.marks.iterrows():
        _mark(axes, row, "delta", SIGNIFICANT * row["gain_se"], 0.0)


def _prepare(axes: Axes, label: str) -> None:
    axes.set_ylabel(label, fontsize=11, color=INK)
    axes.tick_params(labelsize=10, colors=FAINT, length=3)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#BBBBBB")


def _remark(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.6, text, transform=axes.transAxes, ha="center", fontsize=11, color=FAINT)


def _dots(axes: Axes, shown: View, column: str) -> None:
    for variant, rows in shown.dots.groupby("variant"):
        axes.plot(rows["kl"], rows[column], linestyle="none", marker="o", markersize=4.2, markeredgewidth=0,
                  color=style(str(variant)).colour, alpha=0.3, zorder=4)  # fmt: skip


def _mark(axes: Axes, row: pd.Series, column: str, y_error: float, x_error: float) -> None:
    """A configuration: filled where it beats the baseline, large on the frontier, bars over several seeds."""
    look = style(str(row["variant"]))
    wins, on_frontier, bars = bool(row["beats_baseline"]), bool(row["on_frontier"]), row["runs"] > 1
    axes.errorbar(
        [row["kl"]], [row[column]],
        yerr=[y_error] if bars and y_error > 0 else None, xerr=[x_error] if bars and x_error > 0 else None,
        elinewidth=1.3, capsize=2.5, capthick=1.3, color=look.colour,
        marker=look.matplotlib_marker, markersize=8.5 if on_frontier else 6.5, markeredgewidth=1.3,
        markerfacecolor=look.colour if wins else "white",
        markeredgecolor=INK if wins and on_frontier else look.colour,
        zorder=7 if on_frontier else 6,
    )  # fmt: skip


def _legend(shown: View) -> list[Line2D | Patch]:
    """Variants with their result, then the lines, then how to read a mark."""
    entries: list[Line2D | Patch] = [_heading(VARIANTS_TITLE)]
    for variant, label in shown.labels.items():
        look = style(variant)
        entries.append(_symbol(look.matplotlib_marker, look.colour, look.colour, 8, _plain(label)))
    if shown.baselines or shown.entropy_floor is not None:
        entries += [_heading(""), _heading(LINES_TITLE)]
    for index, (decoder, level) in enumerate(shown.baselines.items()):
        label = _plain(f"{number(level)} baseline, {decoder}")
        entries.append(Line2D([], [], linewidth=1.2, marker="D", markersize=7, markeredgecolor="white",
                              linestyle=_DASHES[index % len(_DASHES)], color=baseline_colour(index),
                              label=label))  # fmt: skip
    if shown.entropy_floor is not None:
        entries.append(Line2D([], [], linestyle=":", linewidth=1.8, color=FLOOR_COLOUR,
                              label=f"{number(shown.entropy_floor)} entropy floor"))  # fmt: skip
    entries += [
        _heading(""),
        Line2D([], [], linewidth=1.2, color=INK, label="frontier"),
        _symbol("o", FAINT, INK, 8.5, "on it, beats the baseline"),
        _symbol("o", "white", FAINT, 8.5, "on it, does not"),
        _symbol("o", FAINT, FAINT, 6.5, "off it, beats the baseline"),
        _symbol("o", "white", FAINT, 6.5, "off it, does not"),
        Line2D([], [], linestyle="none", marker=".", markersize=7, color=FAINT, alpha=0.4, label="one run"),
        _symbol("|", FAINT, FAINT, 10, "±3 standard errors"),
    ]  # fmt: skip
    return entries + [_heading(part) for part in ["", *shown.notes] if shown.notes]


def _write_legend(figure: Figure, entries: list[Line2D | Patch]) -> None:
    legend = figure.legend(
        handles=entries, loc="outside right upper", frameon=False, fontsize=10, labelcolor=INK,
        labelspacing=0.55, handlelength=2.4, borderaxespad=0.9,
    )  # fmt: skip
    for text in legend.get_texts():
        if text.get_text() in (VARIANTS_TITLE, LINES_TITLE):
            text.set_fontweight("bold")


def _symbol(marker: str, face: str, edge: str, size: float, label: str) -> Line2D:
    return Line2D([], [], linestyle="none", marker=marker, markersize=size, markeredgewidth=1.3,
                  markerfacecolor=face, markeredgecolor=edge, label=label)  # fmt: skip


def _heading(text: str) -> Patch:
    return Patch(facecolor="none", edgecolor="none", label=text)


def _plain(text: str) -> str:
    """Text in which matplotlib sees no mathematics."""
    return text.replace("$", r"\$")
