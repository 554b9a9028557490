"""What the posterior mean space is drawn of: variants as published, on the synthetic corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.spec.overrides import parse_value
from trainables.common.hints import hint
from trainables.model.variant import Variant
from trainables.parts.part import KnobError
from trainables.text.oracle import Oracle, synthetic_corpus
from trainables.text.splits import Corpus, Split
from trainables.training.posterior_means import check_scalar
from trainables.variants import load_variant

SETTINGS: dict[str, Any] = {
    "embedding_size": 50,
    "hidden_size": 50,
    "latent_size": 1,
    "batch_size": 16,
    "dropout": 0.5,
    "optimizer": "sgd",
    "learning_rate": 1.0,
    "initialization": "uniform",
    "posterior_bias": False,
    "inner_window": 30,
}
"""What He et al. (2019) train with on the synthetic corpus, z being a scalar; but for `inner_window`, theirs
being 15. The mean over 15 batches often rises by chance alone, the inner loop ends too soon, and whether the
encoder ever catches up is a matter of the seed (docs/results/posterior_means.md)."""

HELD_OUT = 2_000


@dataclass(frozen=True)
class Plan:
    """What is trained, on what, and how often it is looked at."""

    variants: tuple[Variant, ...]
    corpus: Corpus
    followed: Split
    epochs: int
    every: int
    seed: int


def make_plan(
    names: Sequence[str],
    settings: Sequence[str],
    oracle: Oracle,
    *,
    epochs: int,
    sentences: int,
    every: int,
    points: int,
    seed: int,
) -> Plan:
    """Checks everything and draws the corpus.

    Args:
        names: of the variants.
        settings: `KNOB=VALUE` for the variants that have the knob.
        oracle: the corpus's.
        epochs: of each training, 1 or more.
        sentences: of the training split; valid and test have 2,000.
        every: updates between two looks.
        points: test sentences to follow.
        seed: of corpus and training.

    Raises:
        ValueError: the rule and the value received.
    """  # fmt: skip
    least = {"epochs": (epochs, 1), "sentences": (sentences, 2), "every": (every, 1), "points": (points, 2)}
    for option, (value, lowest) in least.items():
        if value < lowest:
            raise ValueError(f"--{option} must be >= {lowest}, got {value}")
    if points > HELD_OUT:
        raise ValueError(f"--points must be <= {HELD_OUT:,}, the test sentences, got {points}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"--seed must be in [0, 2^32), got {seed}")
    if len(set(names)) < len(names):
        raise ValueError(f"--variants must be distinct, got {','.join(names)}")
    knobs = _parse(settings)
    variants = tuple(published_variant(name, epochs, knobs) for name in names)
    for knob in knobs:
        if not any(knob in variant.knobs() for variant in variants):
            known = {known for variant in variants for known in variant.knobs()}
            raise KnobError(f"--set: no knob {knob!r} in {', '.join(names)}; {hint(knob, known)}")
    corpus = synthetic_corpus(seed, (sentences, HELD_OUT, HELD_OUT), oracle)
    return Plan(variants, corpus, corpus.test.take(np.arange(points)), epochs, every, seed)


def published_variant(name: str, epochs: int, knobs: Mapping[str, Any]) -> Variant:
    """The variant with the published settings, with those of `knobs` that it has, and, if it is aggressive,
    with an aggressive phase of all epochs.

    Raises:
        UnknownVariantError: no such variant.
        KnobError: a value is out of its range, or z is not a Gaussian scalar.
    """
    variant = load_variant(name)
    wanted = {**SETTINGS, "aggressive_epochs": epochs, **knobs}
    variant = variant.with_knobs({k: v for k, v in wanted.items() if k in variant.slots()})
    variant = variant.with_knobs({k: v for k, v in wanted.items() if k in variant.knobs()})
    check_scalar(variant)
    variant.check()
    variant.pretraining.check(epochs)
    return variant


def _parse(settings: Sequence[str]) -> dict[str, Any]:
    knobs: dict[str, Any] = {}
    for setting in settings:
        knob, equals, value = setting.partition("=")
        if not equals:
            raise KnobError(f"--set takes KNOB=VALUE, got {setting!r}")
        knobs[knob] = parse_value(knob, value)
    return knobs
