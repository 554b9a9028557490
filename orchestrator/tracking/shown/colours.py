"""Colours of runs in MLflow: the variant's own on the frontier, a pale tint of it elsewhere."""

from __future__ import annotations

from orchestrator.common.colours import baseline_colour, style
from trainables.variants import BASELINE

COLOUR_TAG = "mlflow.runColor"
"""What MLflow's interface draws a run in."""
TINT = 0.3
"""Share of the colour in its tint; the rest is white."""


def run_tags(variant: str, *, collapsed: bool, on_frontier: bool) -> dict[str, str]:
    """What a run's tags say: whether it has collapsed, whether its configuration is on the frontier, and the
    colour that shows it."""
    return {
        "collapsed": str(collapsed).lower(),
        "frontier": str(on_frontier).lower(),
        COLOUR_TAG: run_colour(variant, on_frontier=on_frontier),
    }


def run_colour(variant: str, *, on_frontier: bool) -> str:
    """`#rrggbb` for a run of the variant; a baseline is near-black, its tint grey."""
    colour = baseline_colour(0) if variant == BASELINE else style(variant).colour
    return colour if on_frontier else _tint(colour)


def _tint(colour: str) -> str:
    channels = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{round(255 - TINT * (255 - channel)):02X}" for channel in channels)
