"""The figures of a sweep: pictures for a README and a self-contained page to explore."""

from orchestrator.reports.figures.curves_html import sections
from orchestrator.reports.figures.curves_png import cost_png, curves_png
from orchestrator.reports.figures.frontier_html import frontier_figure, frontier_html
from orchestrator.reports.figures.frontier_png import frontier_png

__all__ = ["cost_png", "curves_png", "frontier_figure", "frontier_html", "frontier_png", "sections"]
