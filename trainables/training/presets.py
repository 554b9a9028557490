"""Presets: knobs that together are a published training procedure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainables.common.hints import hint

if TYPE_CHECKING:
    from trainables.model.variant import Variant


class UnknownPresetError(ValueError):
    """No preset of that name."""


@dataclass(frozen=True)
class Preset:
    """A procedure as knobs; what the parts they choose have by default belongs to it.

    Attributes:
        source: the publication.
        epochs: of its longest training.
        knobs: for every variant that has them, and for the baselines.
        by_variant: for one variant alone.
    """

    name: str
    source: str
    epochs: int
    knobs: Mapping[str, Any]
    by_variant: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def knobs_for(self, variant: Variant, own: Collection[str] = ()) -> dict[str, Any]:
        """Those that `variant` has, with this preset's parts in its slots, but for its `own`. A slot that it
        leaves empty stays empty: a language model has no encoder."""
        every = {**self.knobs, **self.by_variant.get(variant.name, {})}
        present, slots = variant.knobs(), variant.slots().keys()
        kept = {*own, *(slot for slot in slots if present[slot] == "none")}
        wanted = {knob: value for knob, value in every.items() if knob not in kept}
        known = variant.with_knobs({slot: wanted[slot] for slot in slots & wanted.keys()}).knobs()
        return {knob: value for knob, value in wanted.items() if knob in known}


_ANNEALED = {
    "anneal_shape": "linear",
    "anneal_rate": 0.09,  # from 0.1 to 1 in 10 epochs
    "anneal_delay": 0.0,
    "kl_start": 0.1,
    "published_steps": True,
}
_EPOCHS = 100  # at the most; the fifth decay of the learning rate ends it

REFERENCE = Preset(
    name="reference",
    source="He et al. 2019, Lagging Inference Networks and Posterior Collapse in Variational Autoencoders",
    epochs=_EPOCHS,
    knobs={
        "embedding_size": 512,
        "hidden_size": 1024,
        "latent_size": 32,
        "posterior_bias": False,
        "initialization": "uniform",
        "dropout": 0.5,
        "optimizer": "sgd",
        "clip_norm": 5.0,
        "batch_size": 32,
        "batch_weighting": "equal",
        "fixed_batches": True,
    },
    by_variant={
        "annealed": {**_ANNEALED, "word_keep_rate": 1.0},
        "aggressive": {
            **_ANNEALED,
            "aggressive_epochs": _EPOCHS,
            "inner_limit": 99,
            "inner_window": 15,
            "mi_margin": 0.0,
            "published_mi": True,
        },
    },
)

# An LSTM learns in the end to carry all that there is (docs/results/embedded.md), and leaves nothing to z. A
# decoder that sees 15 words does not see what the sentence is about, however long it is trained. What it is
# about are its words, whatever their order: an encoder that pools them costs nothing beside that decoder.
EMBEDDED = Preset(
    name="embedded",
    source="this project: what the embedded corpus is trained with unless something else is asked for",
    epochs=_EPOCHS,
    knobs={
        "encoder": "pooled",
        "decoder": "dilated",
        "dropout": 0.2,
        "embedding_size": 32,
        "latent_size": 8,
        "batch_size": 64,
        "learning_rate": 0.004,
    },
    # A cycle has 110 updates here. Where half of them are at the whole weight, as published, it collapses.
    by_variant={"cyclical": {"ramp_share": 1.0}},
)

PRESETS = {preset.name: preset for preset in (REFERENCE,)}
_USUAL = {EMBEDDED.name: EMBEDDED}


def usual_preset(corpus: str) -> Preset | None:
    """What goes without saying for the corpus of that name where no preset is asked for."""
    return _USUAL.get(corpus)


def load_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UnknownPresetError: naming the nearest, or all known ones.
    """
    if name not in PRESETS:
        raise UnknownPresetError(f"no preset {name!r}; {hint(name, PRESETS)}")
    return PRESETS[name]
