"""A model that is told the label: posterior, prior and decoder see it, and it is paid for."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from tests.trainables.models import CPU, LABELS, MakeVariant, random_batch, rows, silent_model, talking_model
from trainables.evaluation.evaluate import evaluate
from trainables.evaluation.importance_weighting import importance_weighted_nll
from trainables.latents.conditions import GivenLabel, Unconditional
from trainables.latents.posteriors import GaussianPosterior
from trainables.model.text_vae import TextVAE
from trainables.parts.part import KnobError
from trainables.text.batches import Batch
from trainables.text.grammar import PLACES, embedded_corpus
from trainables.text.splits import Corpus, Split
from trainables.training.loop import Training

LABEL_NLL = [math.log(10 / 6), math.log(10 / 3), math.log(10)]


@pytest.fixture
def told(small: MakeVariant) -> TextVAE:
    """A model whose prior differs from label to label."""
    model = talking_model(small("conditional"), 16)
    with torch.no_grad():
        model.condition.prior.weight.uniform_(-1.5, 1.5)
    return model


def with_labels(batch: Batch, labels: list[int]) -> Batch:
    return Batch(batch.tokens_BT, torch.tensor(labels), batch.indices_B)


def priors(model: TextVAE, labels_B: Tensor) -> Normal:
    mean_LZ, log_variance_LZ = model.condition.prior.weight.split(3, dim=1)
    return Normal(mean_LZ[labels_B], log_variance_LZ[labels_B].exp().sqrt())


# the prior


def test_the_kl_is_against_the_labels_prior(told: TextVAE) -> None:
    batch = with_labels(random_batch(6, 5), [0, 1, 2, 2, 1, 0])
    posterior = told.posterior(batch)
    assert isinstance(posterior, GaussianPosterior)
    assert batch.labels_B is not None
    own, prior = (
        Normal(posterior.mean_BZ, posterior.log_variance_BZ.exp().sqrt()),
        priors(told, batch.labels_B),
    )
    assert torch.allclose(posterior.kl(), kl_divergence(own, prior), rtol=1e-4, atol=1e-6)
    z_BZ = posterior.sample().value
    expected_B = (prior.log_prob(z_BZ) - own.log_prob(z_BZ)).sum(1)
    assert torch.allclose(posterior.log_weight(z_BZ), expected_B, rtol=1e-4, atol=1e-5)


def test_the_prior_starts_as_the_standard_normal(small: MakeVariant) -> None:
    model = TextVAE(small("conditional"), 16, LABELS)
    posterior = model.posterior(random_batch(6, 5))
    assert isinstance(posterior, GaussianPosterior)
    expected = GaussianPosterior.standard(posterior.mean_BZ, posterior.log_variance_BZ)
    assert torch.equal(posterior.kl(), expected.kl())


def test_draws_from_the_prior_have_the_labels_moments(told: TextVAE) -> None:
    count = 20_000
    labels_B = torch.tensor([0, 1, 2]).repeat(count)
    z_BZ = told.sample_prior(3 * count, labels_B, torch.Generator().manual_seed(6)).view(count, 3, 3)
    prior = priors(told, torch.tensor([0, 1, 2]))
    standard = (z_BZ - prior.mean) / prior.stddev
    assert standard.mean(0).abs().max() < 5 / math.sqrt(count)
    assert (standard.square().mean(0) - 1).abs().max() < 5 * math.sqrt(2 / count)


# the label's price


def test_the_label_costs_its_share_of_the_training_sentences(told: TextVAE) -> None:
    batch, z_BZ = with_labels(random_batch(3, 5), [0, 1, 2]), torch.randn(3, 3)
    logits_BTV = told.decode(batch.tokens_BT[:, :-1], z_BZ, batch.labels_B)
    words_B = -logits_BTV.log_softmax(2).gather(2, batch.tokens_BT[:, 1:, None]).sum((1, 2))
    paid_B = told.reconstruction_nll(batch, z_BZ) - words_B
    assert paid_B.tolist() == pytest.approx(LABEL_NLL, abs=1e-4)


def test_the_price_counts_in_every_figure(told: TextVAE, varied: Corpus) -> None:
    labels_N = varied.test.labels
    assert labels_N is not None
    paid_N = np.array(LABEL_NLL)[labels_N]
    metrics, losses_N = evaluate(told, varied.test, CPU)
    weighted = importance_weighted_nll(told, varied.test, CPU, samples=4, sentences=17)
    told.condition.nll_L.zero_()
    free, free_losses_N = evaluate(told, varied.test, CPU)
    free_weighted = importance_weighted_nll(told, varied.test, CPU, samples=4, sentences=17)
    assert losses_N - free_losses_N == pytest.approx(paid_N, abs=1e-4)
    assert metrics.nll - free.nll == pytest.approx(paid_N.mean(), rel=1e-4)
    assert metrics.kl == free.kl
    assert weighted.iw_nll_N - free_weighted.iw_nll_N == pytest.approx(paid_N, abs=1e-4)


def test_a_corpus_of_training_gives_the_counts(small: MakeVariant, varied: Corpus) -> None:
    training = Training(small("conditional"), varied, epochs=1, seed=1)
    assert varied.train.labels is not None
    shares_L = np.bincount(varied.train.labels) / 45
    assert training.model.condition.nll_L.tolist() == pytest.approx((-np.log(shares_L)).tolist(), rel=1e-6)
    assert varied.label_counts == tuple(np.bincount(varied.train.labels))


# who sees the label


def test_encoder_and_decoder_see_the_label(told: TextVAE) -> None:
    batch, z_BZ = random_batch(4, 5), torch.randn(4, 3)
    first, second = with_labels(batch, [0, 0, 0, 0]), with_labels(batch, [0, 2, 0, 1])
    means = [told.posterior(each).mean_BGD[:, :, 0] for each in (first, second)]
    logits = [told.decode(each.tokens_BT[:, :-1], z_BZ, each.labels_B) for each in (first, second)]
    for before, after in (means, logits):
        moved_B = (after - before).abs().flatten(1).amax(1)
        assert moved_B[[1, 3]].min() > 1e-3
        assert moved_B[[0, 2]].max() < 1e-6  # and a sentence its own label alone
    assert logits[0].sub(logits[1]).abs().amax(2)[1].min() > 1e-6  # at every position


def test_the_label_stands_behind_the_hidden_vector_and_behind_z(told: TextVAE) -> None:
    condition, labels_B = told.condition, torch.tensor([2, 0])
    hidden_BH, z_BZ = torch.randn(2, 10), torch.randn(2, 3)
    observed_BH, context_BZ = condition.observe(hidden_BH, labels_B), condition.context(z_BZ, labels_B)
    assert torch.equal(observed_BH, torch.cat((hidden_BH, condition.observed.weight[labels_B]), dim=1))
    assert torch.equal(context_BZ, torch.cat((z_BZ, condition.told.weight[labels_B]), dim=1))
    assert observed_BH.shape[1] == told.latent.linear.in_features == 18
    assert context_BZ.shape[1] == told.decoder.start.in_features == 11


@pytest.mark.parametrize("decoder", ["lstm", "dilated"])
def test_a_language_model_can_be_told_the_label(small: MakeVariant, varied: Corpus, decoder: str) -> None:
    variant = small("language_model", condition="label", decoder=decoder)
    assert variant.decoder_label == ("lstm+label" if decoder == "lstm" else "dilated-S+label")
    model = talking_model(variant, 16)
    assert model.condition.prior is None
    nll = {}
    for labels in ([0, 1, 2], [0, 2, 2]):
        batch = with_labels(rows(varied.test)[0].repeat(3), labels)
        posterior = model.posterior(batch)
        assert posterior.kl().abs().max() == 0
        nll[labels[1]] = model.reconstruction_nll(batch, posterior.sample().z_BZ)
    assert (nll[1] - nll[2])[[0, 2]].abs().max() < 1e-5
    assert (nll[1] - nll[2])[1].abs() > 1e-3
    metrics, _ = evaluate(model, varied.valid, CPU)
    weighted = importance_weighted_nll(model, varied.valid, CPU, samples=2, sentences=21)
    assert weighted.iw_nll == pytest.approx(metrics.nll_plus_kl, rel=1e-6)


def test_an_unconditional_model_ignores_labels(small: MakeVariant) -> None:
    model = talking_model(small("vanilla"), 16)
    batch, z_BZ = random_batch(4, 5), torch.randn(4, 3)
    without = Batch(batch.tokens_BT, None, batch.indices_B)
    assert torch.equal(model.posterior(batch).kl(), model.posterior(without).kl())
    assert torch.equal(model.reconstruction_nll(batch, z_BZ), model.reconstruction_nll(without, z_BZ))
    assert (Unconditional().width, Unconditional().label) == (0, "")


# what it teaches, what is refused


def test_told_the_place_a_language_model_pays_and_saves_it(small: MakeVariant) -> None:
    # On the embedded corpus the place is worth ln 8 at most, once paid and once saved.
    corpus = embedded_corpus(1, (600, 200, 50))
    sizes = {"learning_rate": 0.01, "embedding_size": 16, "hidden_size": 32}
    nll = {}
    for condition in ("none", "label"):
        variant = small("language_model", condition=condition, **sizes)
        training = Training(variant, corpus, epochs=4, seed=1)
        while not training.finished:
            metrics = training.run_epoch()
        nll[condition] = metrics.valid.nll
    paid = -np.mean(np.log(np.array(corpus.label_counts) / 600)[corpus.valid.labels])
    assert paid == pytest.approx(math.log(len(PLACES)), abs=0.1)
    assert nll["label"] < nll["none"] - 1  # told at the start what it would have to carry so far
    assert nll["label"] - paid > 0


def test_a_corpus_without_labels_is_refused(small: MakeVariant, varied: Corpus) -> None:
    def bare(split: Split) -> Split:
        return dataclasses.replace(split, labels=None)

    splits = {name: bare(getattr(varied, name)) for name in ("train", "valid", "test")}
    unlabelled = dataclasses.replace(varied, label_names=(), **splits)
    for name in ("conditional", "language_model"):
        variant = small(name, condition="label")
        with pytest.raises(
            KnobError, match="condition=label must have a corpus with labels, got one without"
        ):
            Training(variant, unlabelled, epochs=1, seed=1)
    Training(small("vanilla"), unlabelled, epochs=1, seed=1).run_epoch()


def test_a_label_without_a_training_sentence_is_refused(small: MakeVariant) -> None:
    with pytest.raises(KnobError, match="training sentences of every label, got none of 2 of 4 labels"):
        TextVAE(small("conditional"), 16, (3, 0, 2, 0))


def test_a_label_has_a_width() -> None:
    with pytest.raises(KnobError, match="label_size must be >= 1, got 0"):
        GivenLabel(label_size=0)


def test_what_the_label_says_is_not_what_z_knows(small: MakeVariant, varied: Corpus) -> None:
    # q(z|x, y) = p(z|y): z follows the label, and knows nothing else.
    model = silent_model(small("conditional"), 16)
    assert isinstance(model.latent.linear, torch.nn.Linear)
    with torch.no_grad():
        model.condition.observed.weight[:, 0] = torch.tensor([-5.0, 0.0, 5.0])
        model.latent.linear.weight[:3, -model.condition.observed.embedding_dim] = 1.0
        model.condition.prior.weight[:, :3] = torch.tensor([-5.0, 0.0, 5.0]).unsqueeze(1)
    metrics, _ = evaluate(model, varied.test, CPU)
    assert metrics.kl == pytest.approx(0, abs=1e-9)
    assert metrics.mutual_information == pytest.approx(0, abs=1e-9)
    assert metrics.active_units == 0


def test_the_prior_begins_as_the_standard_one_whatever_the_initialization(small: MakeVariant) -> None:
    model = TextVAE(small("conditional", initialization="uniform"), 16, LABELS)
    assert model.condition.prior.weight.abs().max() == 0
    assert model.condition.told.weight.abs().max() > 0
