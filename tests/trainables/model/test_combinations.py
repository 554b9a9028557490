"""What may be combined trains, what may not is refused with its reason; there is nothing between."""

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pytest

from tests.trainables.models import MakeVariant
from trainables.model.combinations import conflicts
from trainables.model.variant import Variant
from trainables.parts.part import KnobError
from trainables.text.batches import Batch, training_batches
from trainables.text.splits import Corpus
from trainables.training.loop import Training
from trainables.variants import load_variant, variant_names

BLIND = "encoder=none needs latent=none: nothing informs z"
WITHOUT_Z = "latent=none needs encoder=none: nothing is there to be inferred"
NO_KL = "latent=none has no KL, so schedule, beta, free_bits and kl_target must be left as they are"
NO_INFERENCE = (
    "latent=none has no inference network, so there is none to train first (updates=aggressive,"
    " pretraining_epochs)"
)
QUANTIZED = (
    "latent=vq takes no schedule, beta, free_bits, kl_target or pretraining_epochs: the rate of its codes"
    " gives the encoder no gradient"
)
NO_LABEL = "condition=label needs a Gaussian latent variable: the prior of codes knows no label"
BOTH_FIRST = "updates=aggressive and pretraining_epochs exclude each other: both train the encoder first"

CHANGES: list[dict[str, Any]] = [
    {"schedule": "cyclical"},
    {"word_keep_rate": 0.5},
    {"decoder": "dilated"},
    {"updates": "aggressive", "inner_limit": 3, "inner_window": 1},
    {"pretraining_epochs": 1},
    {"latent": "batch_norm"},
    {"free_bits": 2.0},
    {"kl_target": 3.0},
    {"condition": "label"},
    {"skip_connections": True},
]
REFUSED = {
    "schedule": {"language_model": NO_KL, "vq": QUANTIZED},
    "updates": {"language_model": NO_INFERENCE, "pretrained": BOTH_FIRST},
    "pretraining_epochs": {"language_model": NO_INFERENCE, "vq": QUANTIZED, "aggressive": BOTH_FIRST},
    "latent": {"language_model": BLIND},
    "free_bits": {"language_model": NO_KL, "vq": QUANTIZED},
    "kl_target": {"language_model": NO_KL, "vq": QUANTIZED},
    "condition": {"gumbel": NO_LABEL, "vq": NO_LABEL},
}
"""By first knob of the change and by variant."""


def first(change: dict[str, Any]) -> str:
    return next(iter(change))


def refusal(variant: Variant) -> str | None:
    """Why the variant is refused, if it is."""
    try:
        variant.check()
    except KnobError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("name", "knobs", "text"),
    [
        ("vanilla", {"encoder": "none"}, BLIND),
        ("gumbel", {"encoder": "none"}, BLIND),
        ("vanilla", {"latent": "none"}, WITHOUT_Z),
        *(
            ("language_model", knobs, NO_KL)
            for knobs in ({"beta": 0.5}, {"schedule": "balanced"}, {"free_bits": 0.1}, {"kl_target": 0.1})
        ),
        ("language_model", {"updates": "aggressive"}, NO_INFERENCE),
        ("language_model", {"pretraining_epochs": 1}, NO_INFERENCE),
        *(
            ("vq", knobs, QUANTIZED)
            for knobs in ({"beta": 0.5}, {"schedule": "annealed"}, {"free_bits": 0.1}, {"kl_target": 0.1})
        ),
        ("vq", {"pretraining_epochs": 2}, QUANTIZED),
        ("vq", {"condition": "label"}, NO_LABEL),
        ("conditional", {"latent": "gumbel"}, NO_LABEL),
        ("pretrained", {"updates": "aggressive"}, BOTH_FIRST),
    ],
)
def test_every_conflict_is_refused_with_its_text(name: str, knobs: dict[str, Any], text: str) -> None:
    variant = load_variant(name).with_knobs(knobs)
    assert text in list(conflicts(variant))
    assert refusal(variant) in list(conflicts(variant))
    if len(list(conflicts(variant))) == 1:
        assert refusal(variant) == text


def test_two_conflicts_are_two_sentences() -> None:
    variant = load_variant("language_model").with_knobs({"beta": 0.5, "updates": "aggressive"})
    assert list(conflicts(variant)) == [NO_KL, NO_INFERENCE]


@pytest.mark.parametrize("name", variant_names())
def test_a_variant_as_it_is_has_no_conflict(name: str) -> None:
    assert list(conflicts(load_variant(name))) == []


def test_setting_knobs_may_lead_over_what_cannot_be() -> None:
    variant = load_variant("vanilla").with_knobs({"encoder": "none"}).with_knobs({"latent": "none"})
    assert refusal(variant) is None
    assert variant == dataclasses.replace(
        load_variant("language_model"), name=variant.name, paper=variant.paper
    )


def assert_finite(figures: dict[str, float]) -> None:
    assert {name for name, value in figures.items() if not math.isfinite(value)} == set()


@pytest.mark.parametrize("change", CHANGES, ids=first)
@pytest.mark.parametrize("name", variant_names())
def test_every_variant_with_every_change_trains_or_is_refused(
    small: MakeVariant, varied: Corpus, name: str, change: dict[str, Any]
) -> None:
    variant = small(name, **change)
    expected = REFUSED.get(first(change), {}).get(name)
    assert refusal(variant) == expected
    if expected is not None:
        with pytest.raises(KnobError):
            Training(variant, varied, epochs=2, seed=4)
        return
    training = Training(variant, varied, epochs=2, seed=4)
    while not training.finished:
        assert_finite(training.run_epoch().named())
    final = training.final_metrics(iw_samples=2, iw_sentences=8)
    assert_finite(final.named())
    assert np.isfinite(final.losses_N).all()
    assert final.test.kl >= 0
    assert training.best_epoch >= 1


@pytest.mark.parametrize("name", ["vanilla", "gumbel", "vq", "language_model"])
def test_every_two_changes_make_a_step_or_are_refused(small: MakeVariant, varied: Corpus, name: str) -> None:
    batch: Batch = next(iter(training_batches(varied.train, 8, np.random.default_rng(1))))
    refused = 0
    for one, other in itertools.combinations(CHANGES, 2):
        variant = small(name, **one, **other)
        if refusal(variant) is not None:
            refused += 1
            continue
        training = Training(variant, varied, epochs=2, seed=4)
        training.model.train()
        for _ in range(2):
            loss = training.rule.update(training, batch)
        assert math.isfinite(float(loss.objective)), (one, other)
        for key, parameter in training.model.named_parameters():
            assert parameter.isfinite().all(), (one, other, key)
    assert 0 < refused < 45
