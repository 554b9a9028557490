import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from trainables.latents import Gaussian, GaussianPosterior, NoLatent, ZeroPosterior
from trainables.sizes import Sizes

SIZES = Sizes(embedding_size=4, hidden_size=5, latent_size=3)


def draw(sentences: int = 6, units: int = 3) -> GaussianPosterior:
    torch.manual_seed(2)
    mean, log_variance = torch.randn(2, sentences, units, dtype=torch.float64)
    return GaussianPosterior(2 * mean, 3 * log_variance - 1)


def normal(posterior: GaussianPosterior) -> Normal:
    return Normal(posterior.mean_BZ, posterior.log_variance_BZ.exp().sqrt())


def test_kl_by_hand() -> None:
    posterior = GaussianPosterior(torch.tensor([[0.0, 2.0, 0.0]]), torch.tensor([[0.0, 0.0, math.log(4.0)]]))
    assert posterior.kl().tolist()[0] == pytest.approx([0.0, 2.0, 0.5 * (4 - 1 - math.log(4.0))])


def test_kl_equals_the_library_unit_by_unit() -> None:
    posterior = draw()
    expected_BZ = kl_divergence(normal(posterior), Normal(0.0, 1.0))
    assert torch.allclose(posterior.kl(), expected_BZ, rtol=1e-12)


def test_log_weight_is_prior_minus_posterior() -> None:
    posterior = draw()
    z_SBZ = torch.randn(4, 6, 3, dtype=torch.float64) * 3
    prior = Independent(Normal(torch.zeros(3).double(), 1.0), 1)
    expected_SB = prior.log_prob(z_SBZ) - Independent(normal(posterior), 1).log_prob(z_SBZ)
    assert torch.allclose(posterior.log_weight(z_SBZ), expected_SB, rtol=1e-10)


def test_pairwise_log_density_pairs_every_z_with_every_posterior() -> None:
    posterior = draw()
    z_MZ = torch.randn(5, 3, dtype=torch.float64) * 2
    expected_MB = Independent(normal(posterior), 1).log_prob(z_MZ.unsqueeze(1))
    actual_MB = posterior.pairwise_log_density(z_MZ)
    assert actual_MB.shape == (5, 6)
    assert torch.allclose(actual_MB, expected_MB, rtol=1e-10)


def test_pairwise_log_density_keeps_narrow_posteriors_precise() -> None:
    mean_BZ = 3.0 + torch.arange(4, dtype=torch.float64).unsqueeze(1) * 1e-4
    posterior = GaussianPosterior(mean_BZ, torch.full((4, 1), -18.0).double())
    expected_MB = Independent(normal(posterior), 1).log_prob(mean_BZ.unsqueeze(1))
    assert torch.allclose(posterior.pairwise_log_density(mean_BZ), expected_MB, rtol=0, atol=1e-5)


def test_samples_have_the_posterior_moments() -> None:
    posterior = draw()
    count = 40_000
    z_SBZ = posterior.sample(count, torch.Generator().manual_seed(1))
    assert z_SBZ.shape == (count, 6, 3)
    deviation_BZ = (posterior.log_variance_BZ / 2).exp()
    standard_SBZ = (z_SBZ - posterior.mean_BZ) / deviation_BZ
    bound = 5 / math.sqrt(count)
    assert standard_SBZ.mean(0).abs().max() < bound
    assert (standard_SBZ.square().mean(0) - 1).abs().max() < bound * math.sqrt(2)
    correlation = torch.corrcoef(standard_SBZ.flatten(1).T) - torch.eye(18)
    assert correlation.abs().max() < bound


def test_the_mean_of_minus_log_weight_is_the_kl() -> None:
    posterior = draw()
    z_SBZ = posterior.sample(40_000, torch.Generator().manual_seed(3))
    draws_SB = -posterior.log_weight(z_SBZ)
    error_B = draws_SB.std(0) / math.sqrt(40_000)
    assert ((draws_SB.mean(0) - posterior.kl().sum(1)).abs() < 5 * error_B).all()


def test_samples_pass_gradients_to_mean_and_variance() -> None:
    mean_BZ = torch.tensor([[1.0, 2.0]], requires_grad=True)
    log_variance_BZ = torch.tensor([[0.0, math.log(9.0)]], requires_grad=True)
    z_BZ = GaussianPosterior(mean_BZ, log_variance_BZ).sample()[0]
    z_BZ.sum().backward()
    assert mean_BZ.grad is not None
    assert log_variance_BZ.grad is not None
    assert mean_BZ.grad.tolist() == [[1.0, 1.0]]
    assert torch.allclose(log_variance_BZ.grad, 0.5 * (z_BZ - mean_BZ).detach())


def test_a_sample_repeats_with_its_generator_and_leaves_the_global_one_alone() -> None:
    posterior, before = draw(), torch.get_rng_state()
    first, second = (posterior.sample(2, torch.Generator().manual_seed(9)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_concatenate_keeps_order_and_type() -> None:
    whole = draw()
    parts = [
        GaussianPosterior(whole.mean_BZ[a:b], whole.log_variance_BZ[a:b]) for a, b in ((0, 2), (2, 3), (3, 6))
    ]
    joined = GaussianPosterior.concatenate(parts)
    assert torch.equal(joined.mean_BZ, whole.mean_BZ)
    assert torch.equal(joined.log_variance_BZ, whole.log_variance_BZ)
    zero = ZeroPosterior(torch.zeros(2, 3), torch.zeros(2, 3))
    assert type(ZeroPosterior.concatenate([zero, zero])) is ZeroPosterior


@pytest.mark.parametrize("bias", [True, False])
def test_the_gaussian_latent_is_linear_in_the_hidden_vector(bias: bool) -> None:
    module = Gaussian(posterior_bias=bias).build(5, SIZES)
    hidden_BH = torch.randn(4, 5)
    posterior = module(hidden_BH)
    weight, offset = module.linear.weight, module.linear.bias if bias else torch.zeros(6)
    assert torch.allclose(posterior.mean_BZ, hidden_BH @ weight[:3].T + offset[:3], atol=1e-6)
    assert torch.allclose(posterior.log_variance_BZ, hidden_BH @ weight[3:].T + offset[3:], atol=1e-6)
    assert (module.linear.bias is not None) == bias


def test_no_latent_pins_z_to_zero() -> None:
    posterior = NoLatent().build(0, SIZES)(torch.zeros(4, 0))
    z_SBZ = posterior.sample(2)
    assert torch.equal(z_SBZ, torch.zeros(2, 4, 3))
    assert torch.equal(posterior.kl(), torch.zeros(4, 3))
    assert torch.equal(posterior.log_weight(z_SBZ), torch.zeros(2, 4))
