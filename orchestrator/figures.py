"""The figures of a sweep: pictures for a README and a self-contained page to explore."""

from orchestrator.curves_html import sections
from orchestrator.curves_png import cost_png, curves_png
from orchestrator.figures_html import frontier_figure, frontier_html
from orchestrator.figures_png import frontier_png

__all__ = ["cost_png", "curves_png", "frontier_figure", "frontier_html", "frontier_png", "sections"]
