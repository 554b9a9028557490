"""The frontier as figures: a picture for a README and a self-contained page to explore."""

from orchestrator.figures_html import frontier_figure, frontier_html
from orchestrator.figures_png import frontier_png

__all__ = ["frontier_figure", "frontier_html", "frontier_png"]
