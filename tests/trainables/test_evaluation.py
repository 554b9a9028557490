import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from trainables import evaluation
from trainables.batches import evaluation_batches
from trainables.evaluation import (
    EVALUATION_BATCH,
    EVALUATION_SEED,
    active_units,
    evaluate,
    importance_weighted_nll,
    mutual_information,
    standard_error,
)
from trainables.latents import GaussianPosterior, ZeroPosterior
from trainables.model import TextVAE
from trainables.splits import Corpus, Split
from trainables.variant import Variant

CPU = torch.device("cpu")
MakeVariant = Callable[..., Variant]


def silent_model(variant: Variant, words: int) -> TextVAE:
    """All weights 0: every word has probability 1 / words, every posterior is the same."""
    model = TextVAE(variant, words)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    return model


def talking_model(variant: Variant, words: int) -> TextVAE:
    """A decoder that heeds z and an encoder that is roughly right about nothing."""
    torch.manual_seed(7)
    model = TextVAE(variant, words)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.uniform_(-0.8, 0.8)
    return model.eval()


def rows(split: Split) -> list[Tensor]:
    """Each sentence with its marks, as a batch of one."""
    cuts = itertools.pairwise(split.offsets.tolist())
    return [torch.from_numpy(split.tokens[a:b].astype(np.int64)).unsqueeze(0) for a, b in cuts]


# NLL, KL, perplexity


@pytest.mark.parametrize("name", ["vanilla", "dilated", "language_model"])
def test_a_silent_model_by_hand(small: MakeVariant, varied: Corpus, name: str) -> None:
    split = varied.valid
    metrics, losses_N = evaluate(silent_model(small(name), 16), split, CPU)
    words_N = np.array([row.shape[1] - 1 for row in rows(split)])
    assert metrics.nll == pytest.approx(words_N.mean() * math.log(16), rel=1e-6)
    assert metrics.kl == pytest.approx(0, abs=1e-9)
    assert metrics.perplexity == pytest.approx(16, rel=1e-6)
    assert losses_N == pytest.approx(words_N * math.log(16), rel=1e-6)
    assert metrics.nll_plus_kl_se == pytest.approx(
        math.log(16) * np.std(words_N, ddof=1) / math.sqrt(len(words_N)), rel=1e-6
    )
    assert (metrics.mutual_information, metrics.active_units) == (pytest.approx(0, abs=1e-9), 0)
    assert metrics.mutual_information_sentences == 21
    assert metrics.mutual_information_cap == math.log(21)


def test_the_kl_counts_in_full_whatever_the_objective(small: MakeVariant, varied: Corpus) -> None:
    variant = small("vanilla", beta=0.1, free_bits=9.0, kl_target=50.0, word_keep_rate=0.0)
    model = silent_model(variant, 16)
    bias = torch.tensor([1.0, 0.0, -2.0, 0.0, math.log(4.0), 0.0])
    model.latent.linear.bias.data = bias
    metrics, losses_N = evaluate(model, varied.test, CPU)
    kl = 0.5 * (1 + 4) + 0.5 * (4 - 1 - math.log(4.0))
    assert metrics.kl == pytest.approx(kl, rel=1e-6)
    nll = varied.test.words / 17 * math.log(16)
    assert metrics.nll_plus_kl == pytest.approx(nll + kl, rel=1e-6)
    assert metrics.perplexity == pytest.approx(16 * math.exp(kl * 17 / varied.test.words), rel=1e-6)
    assert losses_N.mean() == pytest.approx(metrics.nll_plus_kl, rel=1e-6)


def test_losses_stand_in_the_order_of_the_split(small: MakeVariant, varied: Corpus) -> None:
    model = talking_model(small("language_model"), 16)
    _, losses_N = evaluate(model, varied.valid, CPU)
    with torch.no_grad():
        alone_N = [float(model.reconstruction_nll(row, torch.zeros(1, 3))) for row in rows(varied.valid)]
    assert losses_N == pytest.approx(alone_N, rel=1e-5)


def test_dropout_and_word_dropout_are_off_and_the_noise_is_fixed(small: MakeVariant, varied: Corpus) -> None:
    model = talking_model(small("vanilla", dropout=0.5, word_keep_rate=0.3), 16).train()
    first, second = (evaluate(model.train(), varied.valid, CPU)[0] for _ in range(2))
    assert first == second
    plain = talking_model(small("vanilla"), 16)
    assert evaluate(plain, varied.valid, CPU)[0] == first


def test_evaluation_leaves_global_noise_and_gradients_alone(small: MakeVariant, varied: Corpus) -> None:
    model = talking_model(small("vanilla"), 16)
    before = torch.get_rng_state()
    evaluate(model, varied.valid, CPU)
    importance_weighted_nll(model, varied.valid, CPU, samples=2, sentences=5)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_named_has_the_prefix(small: MakeVariant, varied: Corpus) -> None:
    metrics, _ = evaluate(silent_model(small("vanilla"), 16), varied.valid, CPU)
    named = metrics.named("test/")
    assert named["test/nll_plus_kl"] == metrics.nll_plus_kl
    assert set(named) >= {
        "test/nll",
        "test/kl",
        "test/perplexity",
        "test/mutual_information",
        "test/active_units",
    }


# mutual information


def gaussian(mean_NZ: Tensor, variance: float) -> GaussianPosterior:
    return GaussianPosterior(mean_NZ, torch.full_like(mean_NZ, math.log(variance)))


def test_well_separated_posteriors_reach_the_cap() -> None:
    posterior = gaussian(100.0 * torch.arange(50.0).unsqueeze(1).expand(50, 3), 0.01)
    information_N = mutual_information(posterior, posterior.sample()[0])
    assert information_N == pytest.approx(np.full(50, math.log(50)), abs=1e-9)


@pytest.mark.parametrize("posterior_type", [GaussianPosterior, ZeroPosterior])
def test_identical_posteriors_say_nothing(posterior_type: type[GaussianPosterior]) -> None:
    posterior = posterior_type(torch.zeros(50, 3), torch.zeros(50, 3))
    assert mutual_information(posterior, posterior.sample()[0]) == pytest.approx(np.zeros(50), abs=1e-9)


@pytest.mark.parametrize(("slope", "variance"), [(0.3, 1.0), (1.0, 1.0), (2.0, 0.5), (1.0, 0.01)])
def test_a_linear_gaussian_channel_has_its_known_information(slope: float, variance: float) -> None:
    torch.manual_seed(11)
    posterior = gaussian(slope * torch.randn(3000, 1), variance)
    information_N = mutual_information(posterior, posterior.sample()[0])
    known = 0.5 * math.log(1 + slope**2 / variance)
    assert abs(information_N.mean() - known) < 3 * standard_error(information_N)


def test_mutual_information_equals_a_loop_over_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(12)
    posterior = GaussianPosterior(torch.randn(23, 4), torch.randn(23, 4))
    z_NZ = posterior.sample()[0]
    expected = []
    for n in range(23):
        log_q = [
            float(
                Normal(posterior.mean_BZ[m], (posterior.log_variance_BZ[m] / 2).exp()).log_prob(z_NZ[n]).sum()
            )
            for m in range(23)
        ]
        expected.append(log_q[n] - math.log(sum(math.exp(value) for value in log_q) / 23))
    assert mutual_information(posterior, z_NZ) == pytest.approx(expected, abs=1e-4)
    whole_N = mutual_information(posterior, z_NZ)
    for pairs in (1, 23, 50, 100):
        monkeypatch.setattr(evaluation, "PAIRS_PER_CHUNK", pairs)
        assert mutual_information(posterior, z_NZ) == pytest.approx(whole_N, abs=1e-12)


def test_active_units_by_hand() -> None:
    # Unbiased variances 0.01, 0.0099…, 2, 0: two units are active.
    unit = math.sqrt(0.005)
    mean_NZ = torch.tensor([[unit * 1.001, 0.0, 1.0, 5.0], [-unit * 1.001, 0.14, -1.0, 5.0]])
    assert active_units(mean_NZ) == 2
    assert active_units(mean_NZ[:1]) == 0


def test_standard_error_by_hand() -> None:
    assert standard_error(np.array([1.0, 2.0, 3.0, 6.0])) == pytest.approx(math.sqrt(14 / 3 / 4))


# importance weighting


@pytest.fixture(scope="module")
def few() -> Split:
    rng = np.random.default_rng(5)
    return Split.from_ids([rng.integers(4, 16, length).tolist() for length in (2, 3, 5, 3, 4, 2)], None)


def grid_log_likelihood(model: TextVAE, row_1T: Tensor, step: float) -> tuple[float, float]:
    """log p(x) = log ∫ p(z) p(x|z) dz on a plane grid over [−7, 7]², and E_q[w²] / E_q[w]² − 1 there."""
    axis = torch.arange(-7, 7 + step / 2, step, dtype=torch.float64)
    z_MZ = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        nll_M = model.reconstruction_nll(row_1T.expand(len(z_MZ), -1), z_MZ.float()).double()
        posterior = model.posterior(row_1T)
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
        for batch in evaluation_batches(few.take(order), EVALUATION_BATCH):
            posterior = model.posterior(batch.tokens_BT)
            deviation_BZ = (posterior.log_variance_BZ / 2).exp()
            z_BZ = (
                posterior.mean_BZ + deviation_BZ * torch.randn(1, *deviation_BZ.shape, generator=generator)[0]
            )
            log_q_B = Normal(posterior.mean_BZ, deviation_BZ).log_prob(z_BZ).sum(1)
            log_p_B = Normal(0.0, 1.0).log_prob(z_BZ).sum(1)
            expected += (model.reconstruction_nll(batch.tokens_BT, z_BZ) - log_p_B + log_q_B).tolist()
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
    words = np.mean([rows(varied.valid)[number].shape[1] - 1 for number in chosen])
    assert [estimate.iw_nll for estimate in estimates] == pytest.approx([words * math.log(16)] * 2, rel=1e-6)
    assert [estimate.sentences for estimate in estimates] == [6, 6]


@pytest.mark.parametrize("size", [1, 4, 100])
def test_the_size_of_evaluation_batches_changes_no_value(
    small: MakeVariant, varied: Corpus, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    model = talking_model(small("vanilla"), 16)
    with torch.no_grad():  # the variance is pinned near 0, so that the draws do not matter
        model.latent.linear.weight[3:].zero_()
        model.latent.linear.bias[3:].fill_(-30.0)
    whole, losses_N = evaluate(model, varied.valid, CPU)
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH", size)
    metrics, again_N = evaluate(model, varied.valid, CPU)
    assert again_N == pytest.approx(losses_N, rel=1e-5)
    assert list(metrics.named().values()) == pytest.approx(list(whole.named().values()), rel=1e-5)
