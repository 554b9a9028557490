"""What all pictures are made of: a page with panels on the left and a legend on the right, without pyplot."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from orchestrator.common.colours import FAINT, GRID, INK

LegendEntry = Line2D | Patch
_WIDTH, _HEIGHT, _LEGEND_LINE = 9.6, 7.2, 0.235  # inches


def page(title: str, entries: Sequence[LegendEntry], *, bold: Sequence[str], width: float = _WIDTH) -> Figure:
    """An empty page with title and legend, as high as the legend needs.

    Args:
        bold: headings among the legend's entries.
        width: in inches.
    """
    height = max(_HEIGHT, 1.2 + _LEGEND_LINE * len(entries))
    figure = Figure(figsize=(width, height), dpi=170, facecolor="white")
    FigureCanvasAgg(figure)
    figure.set_layout_engine(ConstrainedLayoutEngine(h_pad=0.09, w_pad=0.09, hspace=0.03))
    figure.suptitle(plain(title), x=0.012, ha="left", fontsize=13, color=INK)
    legend = figure.legend(
        handles=list(entries), loc="outside right upper", frameon=False, fontsize=10, labelcolor=INK,
        labelspacing=0.55, handlelength=2.4, borderaxespad=0.9,
    )  # fmt: skip
    for text in legend.get_texts():
        if text.get_text() in bold:
            text.set_fontweight("bold")
    return figure


def prepare(axes: Axes, label: str) -> None:
    """Label of the y axis, and what all panels have in common."""
    axes.set_ylabel(label, fontsize=11, color=INK)
    axes.tick_params(labelsize=10, colors=FAINT, length=3)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#BBBBBB")


def remark(axes: Axes, text: str) -> None:
    """A word in a panel that has nothing to show."""
    axes.text(0.5, 0.6, text, transform=axes.transAxes, ha="center", fontsize=11, color=FAINT)


def symbol(marker: str, face: str, edge: str, size: float, label: str) -> Line2D:
    """A mark in the legend."""
    return Line2D([], [], linestyle="none", marker=marker, markersize=size, markeredgewidth=1.3,
                  markerfacecolor=face, markeredgecolor=edge, label=label)  # fmt: skip


def heading(text: str) -> Patch:
    """A line of text alone in the legend."""
    return Patch(facecolor="none", edgecolor="none", label=text)


def plain(text: str) -> str:
    """Text in which matplotlib sees no mathematics."""
    return text.replace("$", r"\$")
