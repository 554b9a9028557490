"""The collapsed baselines of a sweep: a language model for each generator that its trials may have, with what
is searched for it as for its variants."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.spec.overrides import Changes, VariantPlan, choices_of
from orchestrator.spec.ranges import distribution, knob_value
from trainables.model.variant import Variant
from trainables.variants import BASELINE, load_variant

_SLOTS = ("decoder", "condition")


def plan_baselines(plans: Sequence[VariantPlan], shared: Changes) -> list[VariantPlan]:
    """A language model for each decoder, told apart by label, that the plans fix or can pick.

    A baseline is told what its variants are told. Of what the top of the spec fixes and searches it takes
    what `Variant.shared_knobs` says it has in common with them.

    Raises:
        ProblemsError: a range at the top that the baseline does not take.
    """
    found: dict[str, VariantPlan] = {}
    for variant in itertools.chain.from_iterable(shapes(plan) for plan in plans):
        if variant.decoder_label not in found:
            found[variant.decoder_label] = _baseline(variant, shared)
    return list(found.values())


def shapes(plan: VariantPlan) -> Iterator[Variant]:
    """The variant with every decoder and every condition that the plan's trials may have."""
    searched = {knob: choices_of(found) for knob, found in plan.distributions.items() if choices_of(found)}
    fixed = load_variant(plan.variant).with_knobs(plan.knobs)
    for shape in _picked(fixed, [slot for slot in _SLOTS if slot in searched], searched):
        knobs = [*shape.decoder.knobs(), *shape.condition.knobs()]
        yield from _picked(shape, [knob for knob in knobs if knob in searched], searched)


def _picked(
    variant: Variant, knobs: Sequence[str], choices: Mapping[str, Sequence[Any]]
) -> Iterator[Variant]:
    for values in itertools.product(*(choices[knob] for knob in knobs)):
        yield variant.with_knobs(dict(zip(knobs, values, strict=True)))


def _baseline(variant: Variant, shared: Changes) -> VariantPlan:
    decoder, condition = variant.decoder, variant.condition
    knobs: dict[str, Any] = {"decoder": decoder.part_name}
    knobs |= {knob: value for knob, value in decoder.knobs().items() if isinstance(value, str)}
    if condition.label:
        knobs |= {"condition": condition.part_name} | condition.knobs()
        if decoder.skip_connections:  # the label goes that way too
            knobs["skip_connections"] = True
    model = load_variant(BASELINE).with_knobs(knobs)
    assert model.decoder_label == variant.decoder_label, "a label tells of a knob that is no text"
    for slot in model.slots().keys() & shared.knobs.keys() & model.shared_knobs():
        model = model.with_knobs({slot: shared.knobs[slot]})
    own = model.shared_knobs()
    fixed = {knob: knob_value(model, knob, raw) for knob, raw in shared.knobs.items() if knob in own}
    searched = {
        knob: distribution([model], knob, raw, ("ranges", knob))
        for knob, raw in shared.ranges.items()
        if knob in own
    }
    return VariantPlan(BASELINE, knobs | fixed, searched)
