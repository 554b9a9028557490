"""The frontier as a picture for a README: matplotlib, without pyplot's global state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from orchestrator.common.colours import FAINT, FLOOR_COLOUR, INK, baseline_colour, baseline_dashes, style
from orchestrator.common.wording import number
from orchestrator.reports.figures.frontier_view import (
    BARS,
    KL_TITLE,
    LINES_TITLE,
    LOWER_TITLE,
    UPPER_TITLE,
    VARIANTS_TITLE,
    View,
    view,
)
from orchestrator.reports.figures.png_panels import LegendEntry, heading, page, plain, prepare, remark, symbol


def frontier_png(
    configurations: pd.DataFrame,
    runs: pd.DataFrame,
    *,
    title: str,
    entropy_floor: float | None,
    path: Path,
    dpi: float | None = None,
) -> None:
    """Draw reconstruction NLL over KL, and NLL + KL less the baseline's beneath it, into a PNG file.

    Args:
        configurations: from ``frontier.configurations``.
        runs: the table that they were made from.
        title: one line over the picture.
        entropy_floor: entropy of the corpus in nats per sentence, or None.
        path: the file to write.
        dpi: dots per inch of 9.6 inches, as fine as a README needs unless given.
    """
    figure = draw(view(configurations, runs, entropy_floor=entropy_floor), title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi or "figure")


def draw(shown: View, title: str) -> Figure:
    """The picture itself: two panels on the left, everything that explains them on the right."""
    figure = page(title, _legend(shown), bold=(VARIANTS_TITLE, LINES_TITLE))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _plane(upper, shown)
    _differences(lower, shown)
    return figure


def _plane(axes: Axes, shown: View) -> None:
    prepare(axes, UPPER_TITLE)
    axes.set_xlim(*shown.kl_limits)
    axes.set_ylim(*shown.nll_limits)
    kl = np.array([0.0, max(shown.kl_limits)])
    for index, level in enumerate(shown.baselines.values()):
        dashes, colour = baseline_dashes(index), baseline_colour(index)
        axes.plot(kl, level - kl, linestyle=dashes, linewidth=1.2, color=colour, zorder=2)
        axes.plot(0.0, level, marker="D", markersize=7, color=colour, markeredgecolor="white", zorder=9)
    if shown.entropy_floor is not None:
        axes.plot(kl, shown.entropy_floor - kl, linestyle=":", linewidth=1.8, color=FLOOR_COLOUR, zorder=2)
    _dots(axes, shown, "nll")
    axes.step(shown.frontier["kl"], shown.frontier["nll"], where="post", color=INK, linewidth=1.2, alpha=0.8,
              zorder=5)  # fmt: skip
    for _, row in shown.marks.iterrows():
        _mark(axes, row, "nll", BARS * row["nll_seed_se"], BARS * row["kl_seed_se"])
    if shown.dots.empty:
        remark(axes, "no finished trial")


def _differences(axes: Axes, shown: View) -> None:
    prepare(axes, LOWER_TITLE)
    axes.set_xlabel(KL_TITLE, fontsize=11, color=INK)
    axes.set_ylim(*shown.delta_limits)
    if not shown.baselines:
        remark(axes, "no baseline to compare with")
        return
    axes.axhline(0.0, linestyle="--", linewidth=1.2, color=INK, zorder=2)
    if shown.floor_band:
        low, high = shown.floor_band
        axes.axhspan(low, high, color=FLOOR_COLOUR, alpha=0.15, linewidth=0, zorder=1)
        axes.axhline((low + high) / 2, linestyle=":", linewidth=1.8, color=FLOOR_COLOUR, zorder=2)
    _dots(axes, shown, "delta")
    for _, row in shown.marks.iterrows():
        _mark(axes, row, "delta", BARS * row["gain_se"], 0.0)


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


def _legend(shown: View) -> list[LegendEntry]:
    """Variants with their result, then the lines, then how to read a mark."""
    entries: list[LegendEntry] = [heading(VARIANTS_TITLE)]
    for variant, label in shown.labels.items():
        look = style(variant)
        entries.append(symbol(look.matplotlib_marker, look.colour, look.colour, 8, plain(label)))
    if shown.baselines or shown.entropy_floor is not None:
        entries += [heading(""), heading(LINES_TITLE)]
    for index, (decoder, level) in enumerate(shown.baselines.items()):
        label = plain(f"{number(level)} baseline, {decoder}")
        entries.append(Line2D([], [], linewidth=1.2, marker="D", markersize=7, markeredgecolor="white",
                              linestyle=baseline_dashes(index), color=baseline_colour(index),
                              label=label))  # fmt: skip
    if shown.entropy_floor is not None:
        entries.append(Line2D([], [], linestyle=":", linewidth=1.8, color=FLOOR_COLOUR,
                              label=f"{number(shown.entropy_floor)} entropy floor"))  # fmt: skip
    entries += [
        heading(""),
        Line2D([], [], linewidth=1.2, color=INK, label="frontier"),
        symbol("o", FAINT, INK, 8.5, "on it, beats the baseline"),
        symbol("o", "white", FAINT, 8.5, "on it, does not"),
        symbol("o", FAINT, FAINT, 6.5, "off it, beats the baseline"),
        symbol("o", "white", FAINT, 6.5, "off it, does not"),
        Line2D([], [], linestyle="none", marker=".", markersize=7, color=FAINT, alpha=0.4, label="one run"),
        symbol("|", FAINT, FAINT, 10, f"±{BARS:g} standard errors"),
    ]  # fmt: skip
    return entries + [heading(part) for part in ["", *shown.notes] if shown.notes]
