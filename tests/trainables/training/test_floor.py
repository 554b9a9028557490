"""No model is better than the entropy of its corpus; a wrong estimate is.

Under the grammar every sentence has −log p = the entropy, so that the floor is the same whichever sentences
are looked at: a model's mean over them may lie below it by chance alone, by a few standard errors.
"""

import functools
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.trainables.models import CPU
from trainables.common.metrics import standard_error
from trainables.evaluation.evaluate import evaluate
from trainables.evaluation.importance_weighting import importance_weighted_nll
from trainables.text.grammar import ENTROPY, embedded_corpus
from trainables.text.splits import Split
from trainables.training.loop import Training
from trainables.variants import load_variant, variant_names

QUICK = {"learning_rate": 0.01, "batch_size": 32}
BRIEFLY: dict[str, dict[str, Any]] = {
    "aggressive": {"aggressive_epochs": 1, "inner_limit": 4, "inner_window": 2},
    "pretrained": {"pretraining_epochs": 1},
}
KINDS = ("language_model", "vanilla", "batch_norm", "gumbel", "vq", "conditional")
"""Each with a posterior or a prior of its own; from these the others differ in their training alone, and are
among the slow tests."""
SAMPLES = 20


@functools.cache
def briefly(name: str) -> Training:
    """Five epochs, the model at its best checkpoint."""
    variant = load_variant(name).with_knobs(QUICK | BRIEFLY.get(name, {}))
    training = Training(variant, embedded_corpus(1, (800, 100, 200)), epochs=5, seed=1)
    while not training.finished:
        training.run_epoch()
    training.model.load_state_dict(training.best_weights)
    return training


def likelihoods(
    training: Training, split: Split, samples: int = SAMPLES, sentences: int = 200
) -> NDArray[np.float64]:
    """The IW-NLL of so many sentences."""
    found = importance_weighted_nll(training.model, split, CPU, samples=samples, sentences=sentences)
    assert len(found.iw_nll_N) == min(sentences, len(split))
    return found.iw_nll_N


def at_the_floor_or_above(losses_N: NDArray[Any]) -> bool:
    values_N = losses_N.astype(np.float64)
    return bool(values_N.mean() >= ENTROPY - 3 * standard_error(values_N))


@pytest.mark.parametrize("name", KINDS)
def test_no_variant_is_better_than_the_entropy(name: str) -> None:
    training = briefly(name)
    likelihood_N = likelihoods(training, training.corpus.test)
    _, losses_N = evaluate(training.model, training.corpus.test, CPU)
    assert at_the_floor_or_above(likelihood_N)
    assert at_the_floor_or_above(losses_N)
    assert likelihood_N.mean() < 25  # of 161 at random: the grammar is learnt, the floor is not far
    slack = 3 * standard_error(losses_N - likelihood_N) + 1e-4
    assert likelihood_N.mean() <= losses_N.mean() + slack  # and the one bound is the tighter


# The check can fail: estimates that are wrong in a way that flatters lie below the floor.


@pytest.mark.slow
def test_a_label_that_is_not_paid_for_falls_below() -> None:
    told = {"decoder": "dilated", "dilation": "M", "learning_rate": 0.005, "batch_size": 32}
    variant = load_variant("conditional").with_knobs(told)
    training = Training(variant, embedded_corpus(1, (1600, 100, 200)), epochs=14, seed=1)
    while not training.finished:
        training.run_epoch()
    paid_L = training.model.condition.nll_L.clone()
    try:
        training.model.condition.nll_L.zero_()
        assert not at_the_floor_or_above(likelihoods(training, training.corpus.test))
    finally:
        training.model.condition.nll_L.copy_(paid_L)


@pytest.mark.parametrize("name", ["vanilla", "dilated", "gumbel"])
def test_a_mean_over_samples_that_is_their_sum_falls_below(name: str) -> None:
    training = briefly(name)
    likelihood_N = likelihoods(training, training.corpus.test, samples=1000, sentences=50)
    assert not at_the_floor_or_above(likelihood_N - math.log(1000))


def test_a_memorised_training_split_falls_below() -> None:
    variant = load_variant("language_model").with_knobs(QUICK | {"batch_size": 16})
    training = Training(variant, embedded_corpus(1, (60, 10, 200)), epochs=60, seed=1)
    while not training.finished:
        training.run_epoch()
    assert not at_the_floor_or_above(likelihoods(training, training.corpus.train))
    assert at_the_floor_or_above(likelihoods(training, training.corpus.test))


@pytest.mark.slow
def test_a_reconstruction_without_its_kl_falls_below() -> None:
    told = {"beta": 0.01, "latent_size": 32, "batch_size": 16, "learning_rate": 0.003}
    variant = load_variant("beta").with_knobs(told)
    training = Training(variant, embedded_corpus(1, (3000, 20, 200)), epochs=16, seed=1)
    while not training.finished:
        training.run_epoch()
    metrics, losses_N = evaluate(training.model, training.corpus.test, CPU)
    assert metrics.nll < ENTROPY - 1
    assert at_the_floor_or_above(losses_N)
    assert at_the_floor_or_above(likelihoods(training, training.corpus.test))


@pytest.mark.slow
@pytest.mark.parametrize("name", variant_names())
def test_no_variant_is_better_than_the_entropy_after_a_whole_training(name: str) -> None:
    training = Training(load_variant(name).with_knobs(QUICK), embedded_corpus(2), epochs=8, seed=2)
    while not training.finished:
        training.run_epoch()
    final = training.final_metrics(iw_samples=500, iw_sentences=200)
    weighted, losses_N = final.importance_weighted, final.losses_N
    assert at_the_floor_or_above(weighted.iw_nll_N)
    assert at_the_floor_or_above(losses_N)
    # So near that a sum in place of the mean would show.
    assert not at_the_floor_or_above(weighted.iw_nll_N - math.log(weighted.samples))
