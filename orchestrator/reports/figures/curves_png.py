"""The trainings as pictures: metrics by epoch, and NLL + KL over what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from orchestrator.analysis.equal_compute import TOKENS
from orchestrator.common.colours import FAINT, INK, baseline_dashes, style
from orchestrator.common.wording import thousands
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
from orchestrator.reports.figures.png_panels import LegendEntry, heading, page, plain, prepare, remark

_MARKS = 10
_WIDTH = 11.2  # inches


def curves_png(curves: Sequence[Curve], *, title: str, path: Path) -> None:
    """KL, mutual information, active units and KL weight by epoch: a line a variant, thin ones for its seeds.

    Args:
        curves: from ``curve_view.training_curves``.
        title: one line over the picture.
        path: the file to write.
    """
    _save(draw_curves(curves, title), path)


def cost_png(shown: CostView, *, title: str, path: Path) -> None:
    """The lowest NLL + KL so far over tokens, with the budget of the comparison at equal compute."""
    _save(draw_cost(shown, title), path)


def draw_curves(curves: Sequence[Curve], title: str) -> Figure:
    """Four panels and the legend; the baselines, which have no latent variable, are left out."""
    variants = [curve for curve in curves if not curve.baseline]
    legend: list[LegendEntry] = [heading(CURVES_TITLE), *(_entry(curve, curve.name, 0) for curve in variants)]
    legend += [heading(""), Line2D([], [], linewidth=0.8, alpha=0.5, color=FAINT, label="one run")]
    figure = page(title, legend, bold=(CURVES_TITLE,), width=_WIDTH)
    grid = figure.subplots(2, 2, sharex=True)
    for axes, (name, label) in zip(grid.flat, PANELS.items(), strict=True):
        prepare(axes, label)
        for curve in variants:
            for seed in curve.seeds if len(curve.seeds) > 1 else ():
                axes.plot(
                    seed["epoch"], seed[name], color=curve.colour(0), linewidth=0.8, alpha=0.4, zorder=3
                )
            _line(axes, curve, "epoch", name, 0)
        if not variants:
            remark(axes, "no epochs to show")
        axes.set_ylim(*panel_limits(curves, name))
    for axes in grid[1]:
        axes.set_xlabel("epoch", fontsize=11, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def draw_cost(shown: CostView, title: str) -> Figure:
    """One panel and the legend."""
    entries: list[LegendEntry] = [heading(AT_BUDGET_TITLE)]
    for index, (curve, label) in enumerate(zip(shown.curves, shown.labels, strict=True)):
        entries.append(_entry(curve, label, index))
    entries += [heading(""), Line2D([], [], linewidth=6, alpha=0.2, color=FAINT, label="±1 standard error")]
    if shown.budget is not None:
        entries.append(Line2D([], [], linewidth=1.2, linestyle=":", color=INK, label=shown.budget_label))
    figure = page(title, entries, bold=(AT_BUDGET_TITLE,))
    axes = figure.subplots()
    prepare(axes, SO_FAR_TITLE)
    axes.set_xlabel(COST_TITLE, fontsize=11, color=INK)
    axes.set_ylim(*shown.limits)
    if shown.logarithmic:
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: thousands(value)))
    if shown.budget is not None:
        axes.axvline(shown.budget, linewidth=1.2, linestyle=":", color=INK, zorder=2)
    for index, curve in enumerate(shown.curves):
        _band(axes, curve, index)
        _line(axes, curve, TOKENS, SO_FAR, index)
    if not shown.curves:
        remark(axes, "no epochs to show")
    return figure


def _line(axes: Axes, curve: Curve, x: str, y: str, index: int) -> None:
    marker = None if curve.baseline else style(curve.variant).matplotlib_marker
    axes.plot(
        curve.mean[x], curve.mean[y], color=curve.colour(index), linewidth=1.8,
        linestyle=baseline_dashes(index) if curve.baseline else "-", marker=marker, markersize=6.5,
        markevery=max(1, len(curve.mean) // _MARKS), markeredgecolor="white", markeredgewidth=0.5, zorder=4,
    )  # fmt: skip


def _band(axes: Axes, curve: Curve, index: int) -> None:
    centre, error = curve.mean[SO_FAR], curve.error[SO_FAR]
    if error.notna().any():
        axes.fill_between(curve.mean[TOKENS], centre - error, centre + error, color=curve.colour(index),
                          alpha=0.2, linewidth=0, zorder=2)  # fmt: skip


def _entry(curve: Curve, label: str, index: int) -> Line2D:
    marker = None if curve.baseline else style(curve.variant).matplotlib_marker
    return Line2D([], [], color=curve.colour(index), linewidth=1.8, marker=marker, markersize=7,
                  linestyle=baseline_dashes(index) if curve.baseline else "-", markeredgecolor="white",
                  markeredgewidth=0.5, label=plain(label))  # fmt: skip


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
