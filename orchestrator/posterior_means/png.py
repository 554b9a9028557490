"""The posterior mean space as a picture: a row a variant, a column a moment of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from orchestrator.common.colours import FAINT, GRID, INK
from orchestrator.common.wording import number
from orchestrator.posterior_means.view import COLOURS, LAG_COLOUR, View, correlation
from trainables.training.posterior_means import MeanSpace

_PANEL, _BESIDE, _BENEATH = 1.95, 0.7, 1.2  # inches


def write(view: View, title: str, path: Path) -> None:
    """Write the picture as a PNG file."""
    figure = picture(view, title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def picture(view: View, title: str) -> Figure:
    """All panels with the same axes; the diagonal dashed, μ_φ = 0 marked."""
    updates, variants = view.columns, list(view.spaces)
    size = _PANEL * len(updates) + _BESIDE, _PANEL * len(variants) + _BENEATH
    figure = Figure(figsize=size, dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    figure.set_layout_engine(ConstrainedLayoutEngine(h_pad=0.05, w_pad=0.03, hspace=0.02, wspace=0.01))
    figure.suptitle(title, x=0.012, ha="left", fontsize=12, color=INK)
    panels = figure.subplots(len(variants), len(updates), sharex=True, sharey=True, squeeze=False)
    for row, variant in zip(panels, variants, strict=True):
        row[0].set_ylabel(f"{variant}\n$\\mu_\\phi(x)$", fontsize=11, color=INK)
        for axes, update in zip(row, updates, strict=True):
            _panel(axes, view, view.at(variant, update))
    for axes, update in zip(panels[0], updates, strict=True):
        axes.set_title(f"{update:,} updates", fontsize=10, color=INK)
    for axes in panels[-1]:
        axes.set_xlabel(r"$\mu_\theta(x)$", fontsize=11, color=INK)
    _legend(figure, view)
    return figure


def _panel(axes: Axes, view: View, space: MeanSpace) -> None:
    limit = view.limit
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=FAINT, length=2)
    axes.spines[:].set_color("#BBBBBB")
    axes.axhline(0.0, color=LAG_COLOUR, linewidth=1.1, alpha=0.7, zorder=2)
    axes.plot([-limit, limit], [-limit, limit], color=INK, linewidth=0.9, linestyle="--", zorder=2)
    colours = np.array(COLOURS)[view.component_N % len(COLOURS)]
    axes.scatter(space.model_N, space.encoder_N, s=7, c=colours, alpha=0.55, linewidths=0, zorder=3)
    text = f"KL {number(space.kl)}\nr {correlation(space)}"
    axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top", fontsize=8, color=FAINT)


def _legend(figure: Figure, view: View) -> None:
    dots = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker="o",
            markersize=5,
            color=COLOURS[i % len(COLOURS)],
            label=f"z around {name}",
        )
        for i, name in enumerate(view.components)
    ]
    lines = [
        Line2D([], [], color=INK, linewidth=0.9, linestyle="--", label="encoder and model agree"),
        Line2D([], [], color=LAG_COLOUR, linewidth=1.1, label=r"$\mu_\phi=0$: the encoder has collapsed"),
    ]
    figure.legend(
        handles=[*lines, *dots], loc="outside lower left", ncols=len(lines) + len(dots), frameon=False,
        fontsize=9, labelcolor=INK, handlelength=1.6, columnspacing=1.3, handletextpad=0.5,
    )  # fmt: skip
