"""How a trial is described in MLflow: its run's name, tags, params and colour.

A run on the frontier has its variant's own colour, any other a pale tint of it.
"""

from __future__ import annotations

import json

from orchestrator.common.colours import baseline_colour, style
from orchestrator.search.trial_plan import TrialPlan
from orchestrator.tracking.delivery.entries import Opening
from orchestrator.tracking.server.limits import LONGEST_NAME, shortened
from orchestrator.tracking.server.links import KIND_TAG, NUMBER_TAG, PLAN_TAG
from orchestrator.tracking.shown.view import trial_param
from trainables.variants import BASELINE

COLOUR_TAG = "mlflow.runColor"
"""What MLflow's interface draws a run in."""
TINT = 0.3
"""Share of the colour in its tint; the rest is white."""


def trial_opening(trial_id: str, plan: TrialPlan, number: int, start_ms: int) -> Opening:
    """The trial's run, named such as "cyclical cycles=4 ramp_share=0.5" or "vanilla (replicate, seed 7)"."""
    name = f"{plan.variant} {plan.label}".strip()
    if plan.kind != "trial":
        name = f"{name} ({plan.kind}, seed {plan.seed})"
    tags = {KIND_TAG: plan.kind, "variant": plan.variant, PLAN_TAG: json.dumps(plan.config())}
    tags[NUMBER_TAG] = str(number)
    tags[COLOUR_TAG] = run_colour(plan.variant, on_frontier=False)
    return Opening(trial_id, start_ms, shortened(name, LONGEST_NAME), tags)


def trial_params(plan: TrialPlan) -> dict[str, str]:
    """Every knob of the variant, searched or not, and what the trial is; its kind also as the param that the
    trials of other variants lack."""
    variant = plan.build()
    about = {"variant": plan.variant, "kind": plan.kind, "seed": plan.seed}
    about |= {"decoder_label": variant.decoder_label, trial_param(plan.variant): plan.kind}
    return {name: str(value) for name, value in (variant.knobs() | about).items()}


def run_tags(
    variant: str, *, collapsed: bool, on_frontier: bool, feasible: bool | None = None
) -> dict[str, str]:
    """What a run's tags say: whether it has collapsed, whether its configuration is on the frontier, and the
    colour that shows it; whether it keeps the search's constraints, where there are any for it."""
    tags = {
        "collapsed": str(collapsed).lower(),
        "frontier": str(on_frontier).lower(),
        COLOUR_TAG: run_colour(variant, on_frontier=on_frontier),
    }
    return tags if feasible is None else tags | {"feasible": str(feasible).lower()}


def run_colour(variant: str, *, on_frontier: bool) -> str:
    """`#rrggbb` for a run of the variant; a baseline is near-black, its tint grey."""
    colour = baseline_colour(0) if variant == BASELINE else style(variant).colour
    return colour if on_frontier else _tint(colour)


def _tint(colour: str) -> str:
    channels = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{round(255 - TINT * (255 - channel)):02X}" for channel in channels)
