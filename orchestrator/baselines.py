"""The collapsed baselines of a sweep: a language model for each decoder that its trials may have."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.overrides import BASELINE, VariantPlan, choices_of
from orchestrator.ranges import knob_value
from trainables.decoders import Decoder
from trainables.variant import load_variant


def baseline_knobs(plans: Sequence[VariantPlan], shared: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Knobs of a language model for each decoder, told apart by label, that the plans fix or can pick.

    A baseline takes the fixed knobs that `Variant.shared_knobs` says it has in common with the variants.
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
    for slot in model.slots().keys() & shared.keys() & model.shared_knobs():
        model = model.with_knobs({slot: shared[slot]})
    taken = [knob for knob in shared if knob in model.shared_knobs()]
    return knobs | {knob: knob_value(model, knob, shared[knob]) for knob in taken}
