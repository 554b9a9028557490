import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, OneHotCategorical, kl_divergence

from trainables.latents.gumbel import CategoricalPosterior, Gumbel
from trainables.latents.posteriors import GaussianPosterior, Posterior, ZeroPosterior
from trainables.latents.vq import QuantizedPosterior, VectorQuantized
from trainables.parts.schedules import Progress

START = Progress(0, 10, 5)


def standard(sentences: int = 6, units: int = 3) -> GaussianPosterior:
    torch.manual_seed(2)
    mean, log_variance = torch.randn(2, sentences, units, dtype=torch.float64)
    return GaussianPosterior.standard(2 * mean, 3 * log_variance - 1)


def conditioned(sentences: int = 6, units: int = 3) -> GaussianPosterior:
    """Against a prior that differs from sentence to sentence."""
    own = standard(sentences, units)
    mean, log_variance = torch.randn(2, sentences, units, dtype=torch.float64)
    return GaussianPosterior(own.mean_BZ, own.log_variance_BZ, mean - 1, 2 * log_variance + 0.5)


def zero(sentences: int = 6, units: int = 3) -> ZeroPosterior:
    nothing = torch.zeros(sentences, units, dtype=torch.float64)
    return ZeroPosterior.standard(nothing, nothing)


def categorical(sentences: int = 6) -> CategoricalPosterior:
    torch.manual_seed(3)
    config = Gumbel(codes=2, codebook_size=4)
    logits_BGC = 2 * torch.randn(sentences, 2, 4, dtype=torch.float64)
    return CategoricalPosterior(logits_BGC.log_softmax(2), nn.Linear(8, 3, bias=False).double(), config)


def quantized(sentences: int = 6) -> QuantizedPosterior:
    torch.manual_seed(4)
    config = VectorQuantized(codes=2, codebook_size=4, code_size=3)
    encoded, entries = torch.randn(sentences, 2, 3), torch.randn(4, 3)
    codes_BG = torch.randint(4, (sentences, 2))
    log_prior_BG = torch.rand(sentences, 2).log()
    return QuantizedPosterior(encoded, entries[codes_BG], codes_BG, log_prior_BG, config)


GAUSSIANS = pytest.mark.parametrize("make", [standard, conditioned], ids=lambda make: make.__name__)
ALL = pytest.mark.parametrize(
    "make", [standard, conditioned, zero, categorical, quantized], ids=lambda make: make.__name__
)


def own(posterior: GaussianPosterior) -> Normal:
    return Normal(posterior.mean_BZ, posterior.log_variance_BZ.exp().sqrt())


def prior(posterior: GaussianPosterior) -> Normal:
    return Normal(posterior.prior_mean_BZ, posterior.prior_log_variance_BZ.exp().sqrt())


# Gaussians


def test_kl_by_hand() -> None:
    log_variance = torch.tensor([[0.0, 0.0, math.log(4.0)]])
    posterior = GaussianPosterior.standard(torch.tensor([[0.0, 2.0, 0.0]]), log_variance)
    assert posterior.kl().tolist()[0] == pytest.approx([0.0, 2.0, 0.5 * (4 - 1 - math.log(4.0))])
    # N(1, 4) against N(3, 9): ln(3/2) + (4 + 4) / 18 − 1/2.
    one = [torch.full((1, 1), value) for value in (1.0, math.log(4.0), 3.0, math.log(9.0))]
    assert float(GaussianPosterior(*one).kl()) == pytest.approx(math.log(1.5) + 8 / 18 - 0.5)


@GAUSSIANS
def test_kl_equals_the_library_unit_by_unit(make: type[GaussianPosterior]) -> None:
    posterior = make()
    expected_BZ = kl_divergence(own(posterior), prior(posterior))
    assert torch.allclose(posterior.kl(), expected_BZ, rtol=1e-12)


@GAUSSIANS
def test_log_weight_is_prior_minus_posterior(make: type[GaussianPosterior]) -> None:
    posterior = make()
    for _ in range(4):
        z_BZ = torch.randn(6, 3, dtype=torch.float64) * 3
        expected_B = (prior(posterior).log_prob(z_BZ) - own(posterior).log_prob(z_BZ)).sum(1)
        assert torch.allclose(posterior.log_weight(z_BZ), expected_B, rtol=1e-10)


@GAUSSIANS
def test_negative_entropy_equals_the_library(make: type[GaussianPosterior]) -> None:
    posterior = make()
    assert torch.allclose(posterior.negative_entropy(), -own(posterior).entropy().sum(1), rtol=1e-12)


@GAUSSIANS
def test_pairwise_log_density_pairs_every_z_with_every_posterior(make: type[GaussianPosterior]) -> None:
    posterior = make()
    z_MZ = torch.randn(5, 3, dtype=torch.float64) * 2
    expected_MB = Independent(own(posterior), 1).log_prob(z_MZ.unsqueeze(1))
    actual_MB = posterior.pairwise_log_density(z_MZ)
    assert actual_MB.shape == (5, 6)
    assert torch.allclose(actual_MB, expected_MB, rtol=1e-10)


def test_pairwise_log_density_keeps_narrow_posteriors_precise() -> None:
    mean_BZ = 3.0 + torch.arange(4, dtype=torch.float64).unsqueeze(1) * 1e-4
    posterior = GaussianPosterior.standard(mean_BZ, torch.full((4, 1), -18.0).double())
    expected_MB = Independent(own(posterior), 1).log_prob(mean_BZ.unsqueeze(1))
    assert torch.allclose(posterior.pairwise_log_density(mean_BZ), expected_MB, rtol=0, atol=1e-5)


def test_samples_have_the_posterior_moments() -> None:
    posterior, count = standard(), 40_000
    draw = posterior.repeat(count).sample(torch.Generator().manual_seed(1))
    assert draw.value is draw.z_BZ
    z_SBZ = draw.value.view(count, 6, 3)
    deviation_BZ = (posterior.log_variance_BZ / 2).exp()
    standard_SBZ = (z_SBZ - posterior.mean_BZ) / deviation_BZ
    bound = 5 / math.sqrt(count)
    assert standard_SBZ.mean(0).abs().max() < bound
    assert (standard_SBZ.square().mean(0) - 1).abs().max() < bound * math.sqrt(2)
    correlation = torch.corrcoef(standard_SBZ.flatten(1).T) - torch.eye(18)
    assert correlation.abs().max() < bound


@pytest.mark.parametrize("make", [standard, conditioned, categorical], ids=lambda make: make.__name__)
def test_the_mean_of_minus_log_weight_is_the_kl(make: type[Posterior]) -> None:
    posterior, count = make(), 20_000
    many = posterior.repeat(count)
    draws_SB = -many.log_weight(many.sample(torch.Generator().manual_seed(3)).value).view(count, 6)
    error_B = draws_SB.std(0) / math.sqrt(count)
    assert ((draws_SB.mean(0) - posterior.kl().sum(1)).abs() < 5 * error_B).all()


def test_samples_pass_gradients_to_mean_and_variance() -> None:
    mean_BZ = torch.tensor([[1.0, 2.0]], requires_grad=True)
    log_variance_BZ = torch.tensor([[0.0, math.log(9.0)]], requires_grad=True)
    z_BZ = GaussianPosterior.standard(mean_BZ, log_variance_BZ).training_draw(START).z_BZ
    z_BZ.sum().backward()
    assert mean_BZ.grad is not None
    assert log_variance_BZ.grad is not None
    assert mean_BZ.grad.tolist() == [[1.0, 1.0]]
    assert torch.allclose(log_variance_BZ.grad, 0.5 * (z_BZ - mean_BZ).detach())


def test_the_mode_is_the_mean() -> None:
    posterior = conditioned()
    assert torch.equal(posterior.mode().z_BZ, posterior.mean_BZ)
    assert torch.equal(posterior.mean_BGD[:, :, 0], posterior.mean_BZ)


def test_the_zero_posterior_costs_and_says_nothing() -> None:
    posterior = zero()
    draw = posterior.sample()
    assert torch.equal(draw.z_BZ, torch.zeros(6, 3).double())
    assert torch.equal(posterior.kl(), torch.zeros(6, 3).double())
    assert torch.equal(posterior.log_weight(draw.value), torch.zeros(6).double())
    at_zero = float(Normal(0.0, 1.0).log_prob(torch.tensor(0.0)))
    assert posterior.negative_entropy().tolist() == pytest.approx([3 * at_zero] * 6)
    assert torch.allclose(
        posterior.pairwise_log_density(draw.value), torch.full((6, 6), 3 * at_zero).double()
    )


# all of them


@ALL
def test_a_sample_repeats_with_its_generator_and_leaves_the_global_one_alone(make: type[Posterior]) -> None:
    posterior, before = make(), torch.get_rng_state()
    first, second = (posterior.sample(torch.Generator().manual_seed(9)) for _ in range(2))
    assert torch.equal(first.value, second.value)
    assert torch.equal(first.z_BZ, second.z_BZ)
    assert torch.equal(torch.get_rng_state(), before)


def everything(posterior: Posterior, value: Tensor) -> list[Tensor]:
    """What is known of each sentence, with a value for it."""
    return [
        posterior.mean_BGD,
        posterior.kl(),
        posterior.log_weight(value),
        posterior.negative_entropy(),
        posterior.mode().value,
        posterior.mode().z_BZ,
        posterior.pairwise_log_density(value).diagonal(),
    ]


@ALL
def test_repeat_rows_and_concatenate(make: type[Posterior]) -> None:
    posterior = make()
    value = posterior.sample().value
    whole = everything(posterior, value)
    twice = everything(posterior.repeat(2), torch.cat([value, value]))
    middle = everything(posterior.rows(slice(1, 4)), value[1:4])
    parts = [posterior.rows(slice(a, b)) for a, b in ((0, 2), (2, 3), (3, 6))]
    joined = type(posterior).concatenate(parts)
    assert type(joined) is type(posterior.repeat(2)) is type(posterior.rows(slice(2))) is type(posterior)
    for before, repeated, some, again in zip(whole, twice, middle, everything(joined, value), strict=True):
        assert torch.allclose(repeated, torch.cat([before, before]))
        assert torch.allclose(some, before[1:4])
        assert torch.allclose(again, before)


@ALL
def test_only_codes_of_a_codebook_have_an_auxiliary_loss(make: type[Posterior]) -> None:
    assert (float(make().auxiliary_loss()) > 0) == (make is quantized)


def test_categorical_densities_equal_the_library() -> None:
    posterior = categorical()
    library = Independent(OneHotCategorical(logits=posterior.log_probability_BGC), 1)
    value = posterior.sample().value
    uniform = 2 * math.log(1 / 4)
    assert torch.allclose(posterior.log_weight(value), uniform - library.log_prob(value), rtol=1e-12)
    assert torch.allclose(posterior.negative_entropy(), -library.entropy(), rtol=1e-12)
    expected_MB = library.log_prob(value[:5].unsqueeze(1))
    assert torch.allclose(posterior.pairwise_log_density(value[:5]), expected_MB, rtol=1e-12)
    even = OneHotCategorical(logits=torch.zeros(6, 2, 4).double())
    expected_BG = kl_divergence(OneHotCategorical(logits=posterior.log_probability_BGC), even)
    assert torch.allclose(posterior.kl(), expected_BG, rtol=1e-12)


def test_a_quantized_posterior_is_certain() -> None:
    posterior = quantized(4)
    codes_BG = torch.tensor([[1, 2], [1, 3], [1, 2], [0, 0]])
    posterior = QuantizedPosterior(
        posterior.encoded_BGD, posterior.quantized_BGD, codes_BG, posterior.log_prior_BG, posterior.config
    )
    same = [[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
    assert posterior.pairwise_log_density(codes_BG).exp().tolist() == same
    assert posterior.mean_BGD[1].tolist() == [[0, 1, 0, 0], [0, 0, 0, 1]]
    assert torch.equal(posterior.kl(), -posterior.log_prior_BG)
    assert torch.equal(posterior.log_weight(codes_BG), posterior.log_prior_BG.sum(1))
    assert posterior.negative_entropy().tolist() == [0.0] * 4
