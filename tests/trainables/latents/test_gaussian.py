import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainables.models import MakeVariant, random_batch
from trainables.latents.gaussian import BatchNormGaussian, Gaussian, LatentModule, NoLatent
from trainables.latents.posteriors import ZeroPosterior
from trainables.model.text_vae import TextVAE
from trainables.parts.part import KnobError
from trainables.parts.sizes import Sizes

SIZES = Sizes(embedding_size=4, hidden_size=5, latent_size=3)


@pytest.mark.parametrize("bias", [True, False])
def test_the_gaussian_latent_is_linear_in_the_hidden_vector(bias: bool) -> None:
    module = Gaussian(posterior_bias=bias).build(5, SIZES)
    hidden_BH = torch.randn(4, 5)
    posterior = module(hidden_BH)
    weight, offset = module.linear.weight, module.linear.bias if bias else torch.zeros(6)
    assert torch.allclose(posterior.mean_BZ, hidden_BH @ weight[:3].T + offset[:3], atol=1e-6)
    assert torch.allclose(posterior.log_variance_BZ, hidden_BH @ weight[3:].T + offset[3:], atol=1e-6)
    assert torch.equal(posterior.prior_mean_BZ, torch.zeros(4, 3))
    assert torch.equal(posterior.prior_log_variance_BZ, torch.zeros(4, 3))
    assert (module.linear.bias is not None) == bias
    assert list(module.generator_parameters()) == []


@pytest.mark.parametrize("latent", [Gaussian(), BatchNormGaussian()], ids=lambda latent: latent.part_name)
def test_the_prior_is_standard_normal(latent: Gaussian) -> None:
    module, count = latent.build(5, SIZES), 40_000
    draw = module.sample_prior(torch.ones(count, 3), torch.Generator().manual_seed(4))
    assert draw.z_BZ.mean(0).abs().max() < 5 / math.sqrt(count)
    assert (draw.z_BZ.square().mean(0) - 1).abs().max() < 5 * math.sqrt(2 / count)


def test_no_latent_pins_z_to_zero() -> None:
    module = NoLatent().build(0, SIZES)
    posterior = module(torch.zeros(4, 0))
    assert type(posterior) is ZeroPosterior
    assert torch.equal(posterior.sample().z_BZ, torch.zeros(4, 3))
    assert torch.equal(module.sample_prior(torch.ones(4, 3)).z_BZ, torch.zeros(4, 3))
    assert list(module.parameters()) == []


# batch normalisation


def batch_norm(scale: float = 0.5, weight: float = 1.0) -> LatentModule:
    """A fresh module, its linear layer's weights multiplied by `weight`."""
    torch.manual_seed(6)
    module = BatchNormGaussian(mean_scale=scale).build(5, SIZES)
    with torch.no_grad():
        module.linear.weight *= weight
    return module


def running(module: LatentModule) -> tuple[Tensor, Tensor]:
    return module.norm.running_mean.clone(), module.norm.running_var.clone()


@pytest.mark.parametrize("weight", [1e3, 1.0, 1e-3, 1e-6])
@pytest.mark.parametrize("scale", [0.3, 1.2])
def test_the_means_of_a_batch_have_the_scale_however_small_the_weights(scale: float, weight: float) -> None:
    module = batch_norm(scale, weight)
    posterior = module(torch.randn(32, 5))
    assert posterior.mean_BZ.mean(0).tolist() == pytest.approx([0.0] * 3, abs=1e-6)
    assert posterior.mean_BZ.std(0, correction=0).tolist() == pytest.approx([scale] * 3, rel=1e-3)
    least = 3 * scale**2 / 2
    assert posterior.kl().sum(1).mean().item() >= least * 0.999


def test_the_least_kl_is_reached_at_unit_variance_and_rises_with_the_shift() -> None:
    module = batch_norm(0.7)
    with torch.no_grad():
        module.linear.weight[3:] = 0.0
        module.linear.bias[3:] = 0.0
    hidden_BH = torch.randn(16, 5)
    assert module(hidden_BH).kl().sum(1).mean().item() == pytest.approx(3 * 0.7**2 / 2, rel=1e-5)
    with torch.no_grad():
        module.shift[:] = torch.tensor([1.0, -2.0, 0.0])
    posterior = module(hidden_BH)
    assert posterior.mean_BZ.mean(0).tolist() == pytest.approx([1.0, -2.0, 0.0], abs=1e-5)
    assert posterior.kl().sum(1).mean().item() == pytest.approx(3 * 0.7**2 / 2 + 5 / 2, rel=1e-5)


def test_an_encoder_that_says_nothing_gives_means_within_bounds() -> None:
    module, hidden_BH = batch_norm(0.5), torch.full((32, 5), 0.37)
    for training in (True, False):  # what differs is rounding; no standardised value exceeds √32
        assert module.train(training)(hidden_BH).mean_BZ.abs().max() <= 0.5 * math.sqrt(32)


def test_the_log_variance_is_left_alone() -> None:
    module, hidden_BH = batch_norm(), torch.randn(8, 5)
    weight, offset = module.linear.weight[3:], module.linear.bias[3:]
    assert torch.allclose(module(hidden_BH).log_variance_BZ, hidden_BH @ weight.T + offset, atol=1e-6)


def test_evaluation_uses_the_running_statistics() -> None:
    module = batch_norm(0.5)
    mean_Z, variance_Z = torch.zeros(3), torch.ones(3)
    for _ in range(3):  # momentum 0.1, the variance unbiased
        hidden_BH = 2 + torch.randn(8, 5)
        raw_BZ = module.linear(hidden_BH)[:, :3].detach()
        mean_Z = 0.9 * mean_Z + 0.1 * raw_BZ.mean(0)
        variance_Z = 0.9 * variance_Z + 0.1 * raw_BZ.var(0)
        module(hidden_BH)
    for statistic, expected in zip(running(module), (mean_Z, variance_Z), strict=True):
        assert torch.allclose(statistic.float(), expected, rtol=1e-5)
    before = running(module)
    hidden_BH = torch.randn(7, 5)
    expected_BZ = 0.5 * (module.linear(hidden_BH)[:, :3] - mean_Z) / variance_Z.sqrt()
    whole_BZ = module.eval()(hidden_BH).mean_BZ
    assert torch.allclose(whole_BZ, expected_BZ, rtol=1e-4, atol=1e-6)
    alone_BZ = torch.cat([module(row_1H).mean_BZ for row_1H in hidden_BH.split(1)])
    assert torch.allclose(alone_BZ, whole_BZ, atol=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(before, running(module), strict=True))


def test_a_batch_of_one_sentence_uses_the_running_statistics_and_leaves_them() -> None:
    module = batch_norm()
    for _ in range(2):
        module(torch.randn(8, 5))
    before, hidden_1H = running(module), torch.randn(1, 5)
    told = module(hidden_1H)
    assert all(torch.equal(a, b) for a, b in zip(before, running(module), strict=True))
    assert torch.equal(told.mean_BZ, module.eval()(hidden_1H).mean_BZ)
    module.train()(torch.randn(8, 5))  # and the next batch counts again
    assert not any(torch.equal(a, b) for a, b in zip(before, running(module), strict=True))


def test_shift_and_scale_in_the_model(small: MakeVariant) -> None:
    model = TextVAE(small("batch_norm", mean_scale=0.9), 16).train()
    inference = {id(parameter) for parameter in model.inference_parameters()}
    assert id(model.latent.shift) in inference
    names = {name for name, _ in model.latent.named_parameters()}
    assert names == {"linear.weight", "linear.bias", "shift"}  # the scale is no parameter
    posterior = model.posterior(random_batch(24, 5))
    assert posterior.mean_BZ.std(0, correction=0).tolist() == pytest.approx([0.9] * 3, rel=1e-3)


@pytest.mark.parametrize("value", [0.0, -0.1])
def test_a_scale_is_positive(value: Any) -> None:
    with pytest.raises(KnobError, match=f"mean_scale must be > 0, got {value}"):
        BatchNormGaussian(mean_scale=value)
