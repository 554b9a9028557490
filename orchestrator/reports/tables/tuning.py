"""Whether the baselines were tuned as well as the remedies: a sentence for the report.

Of what both have in common (`Variant.shared_knobs`) alone. A remedy whose learning rate was searched, beside
a baseline whose learning rate was not, may owe its gain to the search.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from orchestrator.common.wording import plural
from orchestrator.search.trial_plan import TrialPlan
from trainables.variants import BASELINE


def tuning(plans: Iterable[TrialPlan]) -> list[str]:
    """What was searched for the baselines, and what for the remedies alone; from the plans of all trials."""
    plans = list(plans)
    tried = [plan for plan in plans if plan.variant == BASELINE and plan.kind == "trial"]
    found = set(chain.from_iterable(plan.searched for plan in tried))
    told = []
    if tried:
        decoders = {plan.build().decoder_label for plan in tried}
        told.append(
            f"{_listed(found)} of the baselines {_was(found)} searched as well, in"
            f" {plural(len(tried), 'trial')} for {plural(len(decoders), 'decoder')};"
            " their figures are on fresh seeds"
        )
    alone: dict[str, set[str]] = {}
    for plan in plans:
        if plan.variant != BASELINE and (own := plan.build().shared_knobs() & set(plan.searched) - found):
            alone.setdefault(plan.variant, set()).update(own)
    told += [
        f"{_listed(knobs)} of {variant} {_was(knobs)} searched, of its baseline {_was(knobs)} not:"
        " some of its gain may be that"
        for variant, knobs in sorted(alone.items())
    ]
    if plans and not told:
        return ["no knob that the remedies share with their baselines was searched"]
    return told


def _listed(knobs: set[str]) -> str:
    return ", ".join(sorted(knobs))


def _was(knobs: set[str]) -> str:
    return "was" if len(knobs) == 1 else "were"
