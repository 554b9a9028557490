"""The collapsed baselines of a sweep: a language model for each decoder that its trials may have."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.overrides import BASELINE, VariantPlan, choices_of, slots_of
from orchestrator.ranges import knob_value
from trainables.decoders import Decoder
from trainables.variant import load_variant

_NOT_IN_THE_BASELINE = ("encoder", "latent", "rate", "updates")


def baseline_knobs(plans: Sequence[VariantPlan], shared: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Knobs of a language model for each decoder, told apart by label, that the plans fix or can pick.

    A baseline takes the shared fixed knobs of its decoder, optimiser, initial weights, sizes and batches.
    Those of encoder, latent variable, KL term and updates stay as in the language model, which has no z.
    """
    found: dict[str, dict[str, Any]] = {}
    for decoder in itertools.chain.from_iterable(_decoders(plan) for plan in plans):
        if decoder.label not in found:
            found[decoder.label] = _baseline(decoder, shared)
    return list(found.values())


def _decoders(plan: VariantPlan) -> Iterator[Decoder]:
    """Every decoder that the plan's trials may have."""
    searched = {knob: choices_of(found) for knob, found in plan.distributions.items() if choices_of(found)}
    fixed = load_variant(plan.variant).with_knobs(plan.knobs)
    for name in searched.get("decoder", (fixed.decoder.part_name,)):
        decoder = fixed.with_knobs({"decoder": name}).decoder
        knobs = [knob for knob in decoder.knobs() if knob in searched]
        for values in itertools.product(*(searched[knob] for knob in knobs)):
            yield decoder.with_knobs(dict(zip(knobs, values, strict=True)))


def _baseline(decoder: Decoder, shared: Mapping[str, Any]) -> dict[str, Any]:
    names = {knob: value for knob, value in decoder.knobs().items() if isinstance(value, str)}
    knobs = {"decoder": decoder.part_name} | names
    model = load_variant(BASELINE).with_knobs(knobs)
    assert model.decoder.label == decoder.label, "a label tells of a knob that is no text"
    left_out = set(knobs).union(*({part, *getattr(model, part).knobs()} for part in _NOT_IN_THE_BASELINE))
    taken = {knob: raw for knob, raw in shared.items() if knob not in left_out}
    for slot in slots_of(model):
        if slot in taken:
            model = model.with_knobs({slot: taken[slot]})
    return knobs | {
        knob: knob_value(model, knob, raw) for knob, raw in taken.items() if knob in model.knobs()
    }
