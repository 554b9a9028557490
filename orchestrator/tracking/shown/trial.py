"""How a trial is described in MLflow: its run's name, tags and params."""

from __future__ import annotations

import json

from orchestrator.search.trial_plan import TrialPlan
from orchestrator.tracking.delivery.entries import Opening
from orchestrator.tracking.server.limits import LONGEST_NAME, shortened
from orchestrator.tracking.server.links import KIND_TAG, NUMBER_TAG, PLAN_TAG
from orchestrator.tracking.shown.colours import COLOUR_TAG, run_colour
from orchestrator.tracking.shown.view import trial_param


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
