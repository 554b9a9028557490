"""IW-NLL: against quadrature, by hand, in chunks."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from tests.trainables.models import CPU, LABELS, MakeVariant, rows, silent_model, talking_model
from trainables.common.metrics import standard_error
from trainables.evaluation import importance_weighting
from trainables.evaluation.evaluate import EVALUATION_BATCH, EVALUATION_SEED, evaluate
from trainables.evaluation.importance_weighting import importance_weighted_nll
from trainables.model.text_vae import TextVAE
from trainables.text.batches import Batch, evaluation_batches
from trainables.text.splits import Corpus, Split


@pytest.fixture(scope="module")
def few() -> Split:
    rng = np.random.default_rng(5)
    return Split.from_ids([rng.integers(4, 16, length).tolist() for length in (2, 3, 5, 3, 4, 2)], None)


def grid_log_likelihood(model: TextVAE, row: Batch, step: float) -> tuple[float, float]:
    """log p(x) = log ∫ p(z) p(x|z) dz on a plane grid over [−7, 7]², and E_q[w²] / E_q[w]² − 1 there."""
    axis = torch.arange(-7, 7 + step / 2, step, dtype=torch.float64)
    z_MZ = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        nll_M = model.reconstruction_nll(row.repeat(len(z_MZ)), z_MZ.float()).double()
        posterior = model.posterior(row)
    q = Independent(Normal(posterior.mean_BZ[0], (posterior.log_variance_BZ[0] / 2).exp()), 1)
    log_joint_M = Independent(Normal(torch.zeros(2).double(), 1.0), 1).log_prob(z_MZ) - nll_M
    log_p = float(log_joint_M.logsumexp(0)) + 2 * math.log(step)
    log_second = float((2 * log_joint_M - q.log_prob(z_MZ)).logsumexp(0)) + 2 * math.log(step)
    return log_p, math.exp(log_second - 2 * log_p) - 1


def test_importance_weighting_agrees_with_quadrature(small: MakeVariant, few: Split) -> None:
    model = talking_model(small("vanilla", latent_size=2), 16)
    fine = [grid_log_likelihood(model, row, 0.125) for row in rows(few)]
    coarse = [grid_log_likelihood(model, row, 0.25)[0] for row in rows(few)]
    assert [log_p for log_p, _ in fine] == pytest.approx(coarse, abs=1e-4)  # the grid has converged
    exact = -float(np.mean([log_p for log_p, _ in fine]))
    variance = float(np.mean([spread for _, spread in fine]))
    elbo = evaluate(model, few, CPU)[0].nll_plus_kl
    samples = 600
    estimate = importance_weighted_nll(model, few, CPU, samples=samples, sentences=len(few))
    error = math.sqrt(variance / samples / len(few))
    assert abs(estimate.iw_nll - exact - variance / (2 * samples)) < 4 * error
    assert 8 * error < elbo - exact  # the test can tell the likelihood from the bound
    assert (estimate.samples, estimate.sentences) == (600, 6)


def test_one_sample_is_the_single_sample_bound(small: MakeVariant, few: Split) -> None:
    model = talking_model(small("vanilla"), 16)
    order = np.random.default_rng(EVALUATION_SEED).permutation(len(few))
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    expected = []
    with torch.no_grad():
        for batch in evaluation_batches(few.take(np.sort(order)), EVALUATION_BATCH):
            posterior = model.posterior(batch)
            deviation_BZ = (posterior.log_variance_BZ / 2).exp()
            z_BZ = posterior.mean_BZ + deviation_BZ * torch.randn(deviation_BZ.shape, generator=generator)
            log_q_B = Normal(posterior.mean_BZ, deviation_BZ).log_prob(z_BZ).sum(1)
            log_p_B = Normal(0.0, 1.0).log_prob(z_BZ).sum(1)
            expected += (model.reconstruction_nll(batch, z_BZ) - log_p_B + log_q_B).tolist()
    estimate = importance_weighted_nll(model, few, CPU, samples=1, sentences=100)
    assert estimate.iw_nll == pytest.approx(np.mean(expected), rel=1e-5)
    assert estimate.iw_nll_se == pytest.approx(standard_error(np.array(expected)), rel=1e-4)


def test_more_samples_tighten_the_bound(small: MakeVariant, varied: Corpus) -> None:
    model = talking_model(small("vanilla", latent_size=2), 16)
    with torch.no_grad():  # a posterior beside the true one leaves the bound something to gain
        model.latent.linear.bias.copy_(torch.tensor([1.0, -0.7, 0.3, 0.3]))
    bounds = [
        importance_weighted_nll(model, varied.valid, CPU, samples=samples, sentences=21).iw_nll
        for samples in (1, 10, 100)
    ]
    assert bounds == sorted(bounds, reverse=True)
    exact = -np.mean([grid_log_likelihood(model, row, 0.25)[0] for row in rows(varied.valid)])
    assert bounds[0] - exact > 10 * abs(bounds[-1] - exact)


def test_a_language_model_has_its_nll(small: MakeVariant, varied: Corpus) -> None:
    model = talking_model(small("language_model"), 16)
    metrics, _ = evaluate(model, varied.valid, CPU)
    estimate = importance_weighted_nll(model, varied.valid, CPU, samples=3, sentences=21)
    assert estimate.iw_nll == pytest.approx(metrics.nll, rel=1e-9)
    assert estimate.iw_nll_se == pytest.approx(metrics.nll_plus_kl_se, rel=1e-6)
    assert metrics.nll == metrics.nll_plus_kl


def test_the_sentences_of_the_estimate_are_the_same_for_every_model(
    small: MakeVariant, varied: Corpus
) -> None:
    # A silent model's NLL tells the number of words, hence which sentences were chosen.
    estimates = [
        importance_weighted_nll(silent_model(small(name), 16), varied.valid, CPU, samples=1, sentences=6)
        for name in ("language_model", "dilated")
    ]
    chosen = np.random.default_rng(EVALUATION_SEED).permutation(21)[:6]
    words = np.mean([varied.valid.lengths[number] - 1 for number in chosen])
    assert [estimate.iw_nll for estimate in estimates] == pytest.approx([words * math.log(16)] * 2, rel=1e-6)
    assert [estimate.sentences for estimate in estimates] == [6, 6]


# chunks


@pytest.mark.parametrize("logits", [1, 3 * 16 * 8 * 7, 16_000_000])
@pytest.mark.parametrize("samples", [1, 2, 7, 10])
@pytest.mark.parametrize("name", ["vanilla", "language_model", "gumbel", "vq", "conditional"])
def test_constant_weights_give_the_likelihood_whatever_the_chunks(
    small: MakeVariant, varied: Corpus, monkeypatch: pytest.MonkeyPatch, name: str, samples: int, logits: int
) -> None:
    # The decoder is silent and the posterior is the prior: every sample has the weight p(x), so that a count
    # of samples that is off by one shows as ln of their ratio.
    monkeypatch.setattr(importance_weighting, "LOGITS_PER_CHUNK", {"cpu": logits})
    model = silent_model(small(name), 16)
    estimate = importance_weighted_nll(model, varied.valid, CPU, samples=samples, sentences=21)
    assert varied.valid.labels is not None
    told_N = np.array([-math.log(LABELS[label] / 10) for label in varied.valid.labels])
    codes = 4 * math.log(32) if name == "vq" else 0.0  # one of 32 entries each, by a silent prior
    expected_N = (varied.valid.lengths - 1) * math.log(16) + codes + (told_N if name == "conditional" else 0)
    assert estimate.iw_nll_N == pytest.approx(expected_N, rel=1e-5)
    assert estimate.samples == samples


def held_logits(
    model: TextVAE, split: Split, monkeypatch: pytest.MonkeyPatch, samples: int
) -> tuple[list[int], list[int]]:
    """Sentences and logits of every call of the decoder."""
    sentences, sizes = [], []
    hidden = model.decoder.hidden

    def watched(inputs_BT: Tensor, z_BZ: Tensor) -> Tensor:
        sentences.append(len(inputs_BT))
        sizes.append(inputs_BT.numel() * model.vocabulary_size)
        return hidden(inputs_BT, z_BZ)

    monkeypatch.setattr(model.decoder, "hidden", watched)
    importance_weighted_nll(model, split, CPU, samples=samples, sentences=len(split))
    return sentences, sizes


@pytest.mark.parametrize("logits", [1, 700, 2_000, 10**6])
def test_no_more_logits_are_held_than_allowed(
    small: MakeVariant, few: Split, monkeypatch: pytest.MonkeyPatch, logits: int
) -> None:
    monkeypatch.setattr(importance_weighting, "LOGITS_PER_CHUNK", {"cpu": logits})
    model = silent_model(small("vanilla"), 16)
    sentences, sizes = held_logits(model, few, monkeypatch, samples=7)
    assert sum(sentences) == 7 * len(few)
    one_sample = max(batch.tokens_BT[:, 1:].numel() * 16 for batch in evaluation_batches(few, 64))
    assert max(sizes) <= max(logits, one_sample)
    assert len(sentences) == {1: 28, 700: 7, 2_000: 4, 10**6: 4}[logits]  # of lengths 2, 3, 4 and 5


def test_chunks_of_any_size_estimate_the_same(
    small: MakeVariant, few: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = talking_model(small("vanilla", latent_size=2), 16)
    variance = np.array([grid_log_likelihood(model, row, 0.25)[1] for row in rows(few)])
    samples, estimates = 1000, []
    for logits in (1, 30_000, 16_000_000):
        monkeypatch.setattr(importance_weighting, "LOGITS_PER_CHUNK", {"cpu": logits})
        found = importance_weighted_nll(model, few, CPU, samples=samples, sentences=len(few))
        estimates.append(found.iw_nll_N)
    for other in estimates[1:]:
        assert (np.abs(other - estimates[0]) < 5 * np.sqrt(2 * variance / samples)).all()


def test_each_sentence_has_its_own_estimate(small: MakeVariant, varied: Corpus) -> None:
    model = talking_model(small("conditional"), 16)
    estimate = importance_weighted_nll(model, varied.valid, CPU, samples=300, sentences=9)
    chosen = np.random.default_rng(EVALUATION_SEED).permutation(21)[:9]
    assert estimate.indices_N.tolist() == sorted(chosen.tolist())
    assert estimate.iw_nll == pytest.approx(estimate.iw_nll_N.mean())
    for number, value in zip(estimate.indices_N, estimate.iw_nll_N, strict=True):
        alone = varied.valid.take(np.array([number]))
        expected = importance_weighted_nll(model, alone, CPU, samples=300, sentences=1)
        assert value == pytest.approx(expected.iw_nll, abs=0.5), number  # of 5 to 25 nats
        assert expected.indices_N.tolist() == [0]


# as many samples as it takes


def test_what_settles_an_estimate_by_hand() -> None:
    """Standard error 2, variances 0.02 and 0.06: a bias of 0.02, a noise of √0.08 / 2."""
    iw_nll_N, variance_N = np.array([10.0, 14.0]), np.array([0.02, 0.06])
    share = math.hypot(0.02, math.sqrt(0.08) / 2) / 2
    assert importance_weighting._settled(iw_nll_N, variance_N, share * 1.001)
    assert not importance_weighting._settled(iw_nll_N, variance_N, share * 0.999)


def test_equal_weights_settle_at_once(small: MakeVariant, varied: Corpus) -> None:
    model = silent_model(small("vanilla"), 16)
    found = importance_weighted_nll(model, varied.valid, CPU, samples=500, sentences=21, tolerance=0.001)
    assert (found.samples, importance_weighting.ROUND) == (25, 25)
    short = importance_weighted_nll(model, varied.valid, CPU, samples=7, sentences=21, tolerance=0.001)
    assert short.samples == 7


@pytest.mark.parametrize("name", ["language_model", "vq"])
def test_a_certain_latent_is_drawn_once(small: MakeVariant, varied: Corpus, name: str) -> None:
    model = talking_model(small(name), 16)
    found = importance_weighted_nll(model, varied.valid, CPU, samples=500, sentences=21, tolerance=0.1)
    plain = importance_weighted_nll(model, varied.valid, CPU, samples=3, sentences=21)
    assert found.samples == 500
    assert found.iw_nll_N == pytest.approx(plain.iw_nll_N, rel=1e-9)


def test_samples_are_drawn_until_their_error_is_that_share(small: MakeVariant, few: Split) -> None:
    """The number is that of the weights' variance by quadrature; what comes out is within the error."""
    model = talking_model(small("vanilla", latent_size=2), 16)
    fine = [grid_log_likelihood(model, row, 0.125) for row in rows(few)]
    exact, variance_N = -np.mean([log_p for log_p, _ in fine]), np.array([spread for _, spread in fine])
    many = importance_weighted_nll(model, few, CPU, samples=600, sentences=len(few))
    tolerance = 0.02

    def error(samples: float) -> float:
        return math.hypot(variance_N.mean() / 2, math.sqrt(variance_N.sum() * samples) / len(few)) / samples

    needed = next(
        samples for samples in range(25, 100_000, 25) if error(samples) <= tolerance * many.iw_nll_se
    )
    found = importance_weighted_nll(model, few, CPU, samples=100_000, sentences=len(few), tolerance=tolerance)
    assert needed > 100
    assert found.samples % 25 == 0
    assert found.samples == pytest.approx(needed, rel=0.5)
    assert abs(found.iw_nll - exact) < 4 * tolerance * many.iw_nll_se
    capped = importance_weighted_nll(model, few, CPU, samples=60, sentences=len(few), tolerance=tolerance)
    assert capped.samples == 60
