import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from tests.trainables.models import CPU, MakeVariant, rows, silent_model, talking_model
from trainables.common.metrics import standard_error
from trainables.evaluation import evaluate as evaluation
from trainables.evaluation import importance_weighting, information
from trainables.evaluation.evaluate import evaluate
from trainables.evaluation.importance_weighting import importance_weighted_nll
from trainables.evaluation.information import (
    active_units,
    batch_mutual_information,
    codebook_perplexity,
    mutual_information,
)
from trainables.latents.gumbel import CategoricalPosterior, Gumbel
from trainables.latents.posteriors import GaussianPosterior, Posterior, ZeroPosterior
from trainables.latents.vq import QuantizedPosterior, VectorQuantized
from trainables.text.splits import Corpus

# NLL, KL, perplexity


@pytest.mark.parametrize("name", ["vanilla", "dilated", "language_model"])
def test_a_silent_model_by_hand(small: MakeVariant, varied: Corpus, name: str) -> None:
    split = varied.valid
    metrics, losses_N = evaluate(silent_model(small(name), 16), split, CPU)
    words_N = np.array([row.tokens_BT.shape[1] - 1 for row in rows(split)])
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
    return GaussianPosterior.standard(mean_NZ, torch.full_like(mean_NZ, math.log(variance)))


def test_well_separated_posteriors_reach_the_cap() -> None:
    posterior = gaussian(100.0 * torch.arange(50.0).unsqueeze(1).expand(50, 3), 0.01)
    information_N = mutual_information(posterior, posterior.sample().value)
    assert information_N == pytest.approx(np.full(50, math.log(50)), abs=1e-9)


@pytest.mark.parametrize("posterior_type", [GaussianPosterior, ZeroPosterior])
def test_identical_posteriors_say_nothing(posterior_type: type[GaussianPosterior]) -> None:
    posterior = posterior_type.standard(torch.zeros(50, 3), torch.zeros(50, 3))
    assert mutual_information(posterior, posterior.sample().value) == pytest.approx(np.zeros(50), abs=1e-9)


@pytest.mark.parametrize(("slope", "variance"), [(0.3, 1.0), (1.0, 1.0), (2.0, 0.5), (1.0, 0.01)])
def test_a_linear_gaussian_channel_has_its_known_information(slope: float, variance: float) -> None:
    torch.manual_seed(11)
    posterior = gaussian(slope * torch.randn(3000, 1), variance)
    information_N = mutual_information(posterior, posterior.sample().value)
    known = 0.5 * math.log(1 + slope**2 / variance)
    assert abs(information_N.mean() - known) < 3 * standard_error(information_N)


def test_mutual_information_equals_a_loop_over_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(12)
    posterior = GaussianPosterior.standard(torch.randn(23, 4), torch.randn(23, 4))
    z_NZ = posterior.sample().value
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
        monkeypatch.setattr(information, "PAIRS_PER_CHUNK", pairs)
        assert mutual_information(posterior, z_NZ) == pytest.approx(whole_N, abs=1e-12)


def published_information(posterior: GaussianPosterior, z_NZ: Tensor) -> float:
    """E_q[log q(z|x)] in closed form less log q(z), over 32 sentences at a time (He et al. 2019)."""
    means, variances = posterior.mean_BZ.tolist(), posterior.log_variance_BZ.double().exp().tolist()
    total = 0.0
    for start in range(0, len(means), 32):
        members = range(start, min(start + 32, len(means)))
        for n in members:
            own = sum(-0.5 * math.log(2 * math.pi * math.e * variance) for variance in variances[n])
            mixture = 0.0
            for m in members:
                units = zip(z_NZ[n].tolist(), means[m], variances[m], strict=True)
                mixture += math.prod(
                    math.exp(-((z - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
                    for z, mean, variance in units
                )
            total += own - math.log(mixture / len(members))
    return total / len(means)


@pytest.mark.parametrize("sentences", [1, 20, 32, 33, 75])
def test_batch_mutual_information_equals_the_published_form(sentences: int) -> None:
    torch.manual_seed(13)
    posterior = GaussianPosterior.standard(2 * torch.randn(sentences, 3), torch.randn(sentences, 3) - 1)
    draw = posterior.sample()
    expected = published_information(posterior, draw.value)
    assert batch_mutual_information(posterior, draw.value) == pytest.approx(expected, abs=1e-5)


def far_apart(kind: type[Posterior], sentences: int) -> Posterior:
    if kind is GaussianPosterior:
        return gaussian(100.0 * torch.arange(float(sentences)).unsqueeze(1).expand(sentences, 3), 0.01)
    codes_BG = torch.stack([torch.arange(sentences) // 12, torch.arange(sentences) % 12], dim=1)
    if kind is CategoricalPosterior:
        logits_BGC = 200.0 * nn.functional.one_hot(codes_BG, 12).float()
        config = Gumbel(codes=2, codebook_size=12)
        return CategoricalPosterior(logits_BGC.log_softmax(2), nn.Linear(24, 3, bias=False), config)
    nothing = torch.zeros(sentences, 2, 3)
    config = VectorQuantized(codes=2, codebook_size=12, code_size=3)
    return QuantizedPosterior(nothing, nothing, codes_BG, -torch.ones(sentences, 2), config)


@pytest.mark.parametrize("kind", [GaussianPosterior, CategoricalPosterior, QuantizedPosterior])
def test_the_cap_of_batch_mutual_information_is_that_of_32_sentences(kind: type[Posterior]) -> None:
    posterior = far_apart(kind, 80)  # 32, 32 and 16 sentences
    draw = posterior.mode() if kind is not GaussianPosterior else posterior.sample()
    cap = (64 * math.log(32) + 16 * math.log(16)) / 80
    # The closed form is an expectation, log q(z) of a draw is not: half of χ² with 3 degrees a sentence.
    slack = 4 * math.sqrt(2 * 3 / 80) / 2 if kind is GaussianPosterior else 1e-6
    assert batch_mutual_information(posterior, draw.value) == pytest.approx(cap, abs=slack)
    assert mutual_information(posterior, draw.value) == pytest.approx(np.full(80, math.log(80)), abs=1e-6)


def test_batch_mutual_information_of_a_split_is_that_of_its_batches(
    small: MakeVariant, varied: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 21 sentences of up to 6 lengths: each length is a batch of its own.
    model = talking_model(small("vanilla"), 16)
    with torch.no_grad():
        model.latent.linear.weight[3:].zero_()
        model.latent.linear.bias[3:].fill_(-30.0)  # no noise: a sentence of its own is worth ln of its batch
        metrics, _ = evaluate(model, varied.valid, CPU)
    lengths = varied.valid.lengths.tolist()
    expected = sum(math.log(lengths.count(length)) for length in lengths) / len(lengths)
    assert metrics.mutual_information_batch == pytest.approx(expected, abs=4 * math.sqrt(6 / 21) / 2)
    assert metrics.mutual_information_batch < metrics.mutual_information_cap


def test_information_of_codes_equals_counting() -> None:
    # 8 sentences, codes (a, b): I = H(codes) where the posterior is certain.
    codes_BG = torch.tensor([[0, 0], [0, 0], [0, 1], [1, 1], [1, 1], [1, 1], [1, 1], [2, 0]])
    config = VectorQuantized(codes=2, codebook_size=3, code_size=2)
    nothing = torch.zeros(8, 2, 2)
    posterior = QuantizedPosterior(nothing, nothing, codes_BG, -torch.ones(8, 2), config)
    entropy = -sum(share * math.log(share) for share in (2 / 8, 1 / 8, 4 / 8, 1 / 8))
    assert mutual_information(posterior, codes_BG).mean() == pytest.approx(entropy)
    assert batch_mutual_information(posterior, posterior.sample().value) == pytest.approx(entropy)


# active units, codebooks


def test_active_units_by_hand() -> None:
    # Unbiased variances 0.01, 0.0099…, 2, 0: two units are active.
    unit = math.sqrt(0.005)
    mean_NZ = torch.tensor([[unit * 1.001, 0.0, 1.0, 5.0], [-unit * 1.001, 0.14, -1.0, 5.0]])
    assert active_units(mean_NZ.unsqueeze(2)) == 2
    assert active_units(mean_NZ[:1].unsqueeze(2)) == 0


def test_active_codes_by_hand() -> None:
    # Three codes of two entries: variances 2 · 0.005 · 1.01 and 2 · 0.005 · 0.99 over both entries, and 0.
    apart = [math.sqrt(0.005 * factor / 2) for factor in (1.01, 0.99)]
    first = [[0.5 + apart[0], 0.5 - apart[0]], [0.5 + apart[1], 0.5 - apart[1]], [0.9, 0.1]]
    second = [[0.5 - apart[0], 0.5 + apart[0]], [0.5 - apart[1], 0.5 + apart[1]], [0.9, 0.1]]
    assert active_units(torch.tensor([first, second])) == 1


@pytest.mark.parametrize("entries", [2, 5])
def test_codebook_perplexity_of_even_and_of_constant_use(entries: int) -> None:
    even_NGD = nn.functional.one_hot(torch.arange(3 * entries) % entries).float().unsqueeze(1)
    assert codebook_perplexity(even_NGD) == pytest.approx(entries)
    spread_NGD = torch.full((7, 2, entries), 1 / entries)  # all use alike, of each sentence's uncertain codes
    assert codebook_perplexity(spread_NGD) == pytest.approx(entries)
    constant_NGD = nn.functional.one_hot(torch.ones(6, 1, dtype=torch.int64), entries).float()
    assert codebook_perplexity(constant_NGD) == pytest.approx(1)


def test_codebook_perplexity_by_hand() -> None:
    # Shares 3/4, 1/4, 0 of the first code, of the second all one entry: mean of exp H over codes.
    codes_NG = torch.tensor([[0, 2], [0, 2], [1, 2], [0, 2]])
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    mean_NGD = nn.functional.one_hot(codes_NG, 3).float()
    assert codebook_perplexity(mean_NGD) == pytest.approx((math.exp(entropy) + 1) / 2)
    assert codebook_perplexity(torch.randn(4, 3, 1)) is None


def test_standard_error_by_hand() -> None:
    assert standard_error(np.array([1.0, 2.0, 3.0, 6.0])) == pytest.approx(math.sqrt(14 / 3 / 4))


# batches


@pytest.mark.parametrize("size", [1, 4, 100])
def test_the_size_of_evaluation_batches_changes_no_value(
    small: MakeVariant, varied: Corpus, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    model = talking_model(small("vanilla"), 16)
    with torch.no_grad():  # the variance is pinned near 0, so that the draws do not matter
        model.latent.linear.weight[3:].zero_()
        model.latent.linear.bias[3:].fill_(-30.0)
    whole, losses_N = evaluate(model, varied.valid, CPU)
    for module in (evaluation, importance_weighting):
        monkeypatch.setattr(module, "EVALUATION_BATCH", size)
    metrics, again_N = evaluate(model, varied.valid, CPU)
    assert again_N == pytest.approx(losses_N, rel=1e-5)
    own, others = metrics.named(), whole.named()
    for named in (own, others):  # of the draws, whose densities know no small variance
        named.pop("mutual_information_batch")
    assert own == pytest.approx(others, rel=1e-5)
