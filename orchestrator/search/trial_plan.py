"""Typed records that cross boundaries: what a trial is told to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from trainables.model.variant import Variant
from trainables.variants import BASELINE, load_variant

Kind = Literal["baseline", "trial", "replicate"]


@dataclass(frozen=True)
class TrialPlan:
    """One trial: a variant with these knobs set, trained with this seed.

    Attributes:
        kind: "baseline" for the language model that others are compared with, "trial" for what a search asked
            for, "replicate" for a variant's best configuration once more on a fresh seed.
        searched: the knobs that tell this configuration from the variant's others; part of `knobs`.
    """

    variant: str
    kind: Kind
    knobs: Mapping[str, Any]
    seed: int
    searched: tuple[str, ...] = ()

    def build(self) -> Variant:
        """The variant with the knobs set."""
        return load_variant(self.variant).with_knobs(self.knobs)

    @cached_property
    def decoder(self) -> str:
        """The label of its decoder, which is that of its baseline's."""
        return self.build().decoder_label

    @property
    def fresh(self) -> bool:
        """Whether its seed took no part in a selection."""
        return self.kind != "trial" or not self.searched

    @property
    def identity(self) -> str:
        """What makes a training: two of the same are the same training."""
        return repr((self.variant, sorted(self.knobs.items()), self.seed))

    @property
    def label(self) -> str:
        """The searched knobs as text, "cycles=4 ramp_share=0.5"; empty where there are none."""
        return " ".join(f"{knob}={short(self.knobs[knob])}" for knob in self.searched)

    def config(self) -> dict[str, Any]:
        """As Ray Tune's trial configuration."""
        return {
            "variant": self.variant,
            "kind": self.kind,
            "knobs": dict(self.knobs),
            "seed": self.seed,
            "searched": list(self.searched),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TrialPlan:
        """The inverse of `config`."""
        return cls(
            config["variant"], config["kind"], config["knobs"], config["seed"], tuple(config["searched"])
        )


@dataclass(frozen=True)
class Asked:
    """What has been asked for; a searched trial has a number in its variant's study."""

    plan: TrialPlan
    number: int | None = None


@dataclass(frozen=True)
class Ended:
    """A trial that was trained to its end, and its final figures."""

    trial_id: str
    plan: TrialPlan
    final: Mapping[str, float]


def short(value: object) -> str:
    """A knob's value for people: floats with four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def describe(plan: TrialPlan) -> str:
    """A trial in few words: variant, decoder where it is not the usual one, searched knobs, seed."""
    decoder = plan.build().decoder_label
    parts = [plan.variant]
    if plan.variant == BASELINE:
        parts.append(decoder)
    if plan.label:
        parts.append(plan.label)
    if plan.kind != "trial" or not plan.searched:
        parts.append(f"seed {plan.seed}")
    return " ".join(parts)
