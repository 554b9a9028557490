"""A preset's knobs under what the user says of a sweep.

Of the spec alone: presets themselves are the trainings', and know neither file nor options.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from orchestrator.spec.overrides import Changes
from trainables.parts.part import KnobError
from trainables.training.presets import Preset
from trainables.variants import UnknownVariantError, load_variant


def with_preset(
    preset: Preset, chosen: Mapping[str, Changes], shared: Changes
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The fixed knobs at the top and those below each variant, the preset's among them.

    A knob that the user fixes or searches, at the top or below the variant, is left to the user, and so is
    one that no chosen variant has. A variant that the user has wrong gets none: the check of it will say so.
    """
    top, below = dict[str, Any](), dict[str, dict[str, Any]]()
    at_top = shared.knobs.keys() | shared.ranges.keys()
    for name, own in chosen.items():
        said = at_top | own.knobs.keys() | own.ranges.keys()
        found = _knobs_for(preset, name, {**shared.knobs, **own.knobs}, said)
        top |= {knob: value for knob, value in found.items() if knob in preset.knobs}
        alone = {knob: value for knob, value in found.items() if knob not in preset.knobs}
        below[name] = {**alone, **own.knobs}
    return {**top, **shared.knobs}, below


def _knobs_for(preset: Preset, name: str, fixed: Mapping[str, Any], said: Collection[str]) -> dict[str, Any]:
    try:
        variant = load_variant(name)
        slots = {slot: fixed[slot] for slot in fixed.keys() & variant.slots().keys()}
        return preset.knobs_for(variant.with_knobs(slots), said)
    except (UnknownVariantError, KnobError):
        return {}
