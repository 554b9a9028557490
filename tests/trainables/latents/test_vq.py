"""Codes by nearest neighbour: gradients, losses, revival, rate."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.trainables.models import CPU, MakeVariant, random_batch, rows, talking_model
from trainables.evaluation.evaluate import evaluate
from trainables.evaluation.importance_weighting import importance_weighted_nll
from trainables.latents.gaussian import LatentModule
from trainables.latents.vq import QuantizedPosterior, VectorQuantized
from trainables.model.text_vae import TextVAE
from trainables.parts.part import KnobError
from trainables.parts.schedules import Progress
from trainables.parts.sizes import Sizes
from trainables.text.batches import evaluation_batches
from trainables.text.splits import Corpus
from trainables.training.loop import Training

START = Progress(0, 10, 5)
SIZES = Sizes(embedding_size=4, hidden_size=5, latent_size=3)


def build(entries: int = 6, used: bool = True, **knobs: Any) -> LatentModule:
    """A module of two codes of width 3; `used` says whether all its entries are in use."""
    torch.manual_seed(2)
    module = VectorQuantized(codes=2, codebook_size=entries, code_size=3, **knobs).build(5, SIZES)
    if used:
        module.usage_C.fill_(1 / entries)
    return module


def brute_force(module: LatentModule, encoded_BGD: Tensor) -> list[list[int]]:
    entries = module.codebook.weight.tolist()
    return [
        [min(range(len(entries)), key=lambda c: math.dist(vector, entries[c])) for vector in sentence]
        for sentence in encoded_BGD.tolist()
    ]


@pytest.mark.parametrize("training", [True, False])
def test_a_code_is_the_nearest_entry(training: bool) -> None:
    module = build(entries=9).train(training)
    hidden_BH = 3 * torch.randn(40, 5)
    posterior = module(hidden_BH)
    encoded_BGD = module.linear(hidden_BH).view(40, 2, 3)
    assert torch.equal(posterior.encoded_BGD, encoded_BGD)
    assert posterior.codes_BG.tolist() == brute_force(module, encoded_BGD)
    assert len(posterior.codes_BG.unique()) > 3
    z_BZ = posterior.sample().z_BZ
    assert torch.equal(z_BZ.view(40, 2, 3), module.codebook.weight[posterior.codes_BG])


def test_the_decoder_is_trained_on_the_codes_that_it_is_evaluated_with() -> None:
    posterior = build()(torch.randn(8, 5))
    assert torch.allclose(posterior.training_draw(START).z_BZ, posterior.sample().z_BZ, atol=1e-6)


def test_the_gradient_goes_straight_through(small: MakeVariant) -> None:
    model = TextVAE(small("vq", codes=2, codebook_size=6, code_size=3), 16).train()
    batch = random_batch(5, 4)
    posterior = model.posterior(batch)
    assert isinstance(posterior, QuantizedPosterior)
    z_BZ = posterior.training_draw(START).z_BZ
    nll = model.reconstruction_nll(batch, z_BZ).sum()
    weights = (model.latent.codebook.weight, model.latent.linear.weight)
    at_encoder, at_decoder, at_codebook, at_linear = torch.autograd.grad(
        nll, (posterior.encoded_BGD, z_BZ, *weights), allow_unused=True
    )
    assert torch.equal(at_encoder.flatten(1), at_decoder)
    assert at_decoder.abs().max() > 1e-3
    assert at_codebook is None  # the NLL does not move the codebook
    assert at_linear is not None


# losses


def test_the_auxiliary_loss_by_hand() -> None:
    encoded = torch.tensor([[[1.0, 0.0], [2.0, 2.0]], [[0.0, 0.0], [1.0, 1.0]]], requires_grad=True)
    entries = torch.tensor([[0.0, 0.0], [2.0, 1.0]], requires_grad=True)
    codes_BG = torch.tensor([[0, 1], [0, 1]])
    config = VectorQuantized(codes=2, codebook_size=2, code_size=2, commitment=0.3)
    posterior = QuantizedPosterior(encoded, entries[codes_BG], codes_BG, torch.zeros(2, 2), config)
    loss = posterior.auxiliary_loss()
    # Squared distances 1, 1 and 0, 1: a mean of 1.5 a sentence, once and 0.3 times.
    assert loss.item() == pytest.approx(1.3 * 1.5)
    loss.backward()
    assert entries.grad is not None
    assert encoded.grad is not None
    # Entry 0: 2 · (0 − e) over both its vectors, halved for the mean over two sentences; likewise entry 1.
    assert entries.grad.tolist() == [[-1.0, 0.0], [1.0, -1.0]]
    expected = 0.3 * (encoded - entries[codes_BG]).detach()
    assert torch.allclose(encoded.grad, expected)


def test_the_rate_is_the_priors_and_reaches_it_alone() -> None:
    module = build()
    hidden_BH = torch.randn(7, 5, requires_grad=True)
    posterior = module(hidden_BH)
    assert torch.equal(posterior.kl(), -module.prior.log_probability(posterior.codes_BG))
    rate = posterior.kl().sum()
    named = dict(module.named_parameters())
    gradients = torch.autograd.grad(rate, [hidden_BH, *named.values()], allow_unused=True)
    assert gradients[0] is None
    for name, gradient in zip(named, gradients[1:], strict=True):
        assert (gradient is not None) == name.startswith("prior."), name


def test_training_moves_what_each_loss_is_for(small: MakeVariant, varied: Corpus) -> None:
    training = Training(small("vq", clip_norm=1e9, commitment=0.0), varied, epochs=1, seed=3)
    training.model.train()
    training.model.latent.usage_C.fill_(1 / 32)
    batch = random_batch(8, 4)
    training.gradients(batch)
    model = training.model
    posterior = model.posterior(batch)
    assert isinstance(posterior, QuantizedPosterior)
    expected = torch.zeros(32, 8)
    difference = (posterior.quantized_BGD - posterior.encoded_BGD).detach().flatten(0, 1)
    expected.index_add_(0, posterior.codes_BG.flatten(), 2 * difference / 8)
    assert torch.allclose(model.latent.codebook.weight.grad, expected, atol=1e-6)
    assert all(parameter.grad is not None for parameter in model.parameters())


# revival


def test_all_entries_start_on_what_the_encoder_says() -> None:
    module = build(used=False)
    hidden_BH = torch.randn(4, 5)
    module(hidden_BH)
    encoded = module.linear(hidden_BH).view(-1, 3).tolist()
    assert all(entry in encoded for entry in module.codebook.weight.tolist())


def test_dead_entries_are_revived_and_live_ones_untouched() -> None:
    module = build(entries=8)
    fair = 1 / 8
    module.usage_C.copy_(fair * torch.tensor([1.0, 0.099, 0.101, 0.0, 5.0, 0.3, 0.0999, 1.0]))
    before, usage_C = module.codebook.weight.detach().clone(), module.usage_C.clone()
    hidden_BH = torch.randn(50, 5)
    posterior = module(hidden_BH)
    encoded = module.linear(hidden_BH).view(-1, 3).tolist()
    dead = [1, 3, 6]
    for entry in range(8):
        row = module.codebook.weight[entry]
        assert torch.equal(row, before[entry]) == (entry not in dead)
        assert (row.tolist() in encoded) == (entry in dead)
    # The dead count as used like all others, then this batch counts a hundredth.
    usage_C[dead] = fair
    used_C = torch.bincount(posterior.codes_BG.flatten(), minlength=8) / 100
    assert torch.allclose(module.usage_C, 0.99 * usage_C + 0.01 * used_C)
    assert posterior.codes_BG.tolist() == brute_force(module, module.linear(hidden_BH).view(50, 2, 3))


def test_an_entry_that_is_never_used_dies_after_230_batches() -> None:
    module = build(entries=4)
    with torch.no_grad():
        module.codebook.weight[2] = 1e6
    hidden_BH, batches = torch.randn(16, 5), 0
    while module.codebook.weight[2, 0] > 1e5:
        module(hidden_BH)
        batches += 1
    assert batches - 1 == math.ceil(math.log(0.1) / math.log(0.99)) == 230


def test_evaluation_changes_nothing(small: MakeVariant, varied: Corpus) -> None:
    model = TextVAE(small("vq"), 16)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    evaluate(model, varied.valid, CPU)
    importance_weighted_nll(model, varied.valid, CPU, samples=2, sentences=4)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert before["latent.usage_C"].sum() == 0


def test_usage_is_saved_and_restored(small: MakeVariant, varied: Corpus) -> None:
    training = Training(small("vq", codebook_size=4), varied, epochs=2, seed=3)
    training.run_epoch()
    usage_C = training.model.latent.usage_C.clone()
    other = Training(small("vq", codebook_size=4), varied, epochs=2, seed=9)
    other.restore(training.state())
    assert torch.equal(other.model.latent.usage_C, usage_C)
    assert usage_C.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert usage_C.std() > 0


# rate and likelihood


def test_the_bound_is_above_the_likelihood_over_all_code_vectors(small: MakeVariant, varied: Corpus) -> None:
    model = talking_model(small("vq", codes=2, codebook_size=3, code_size=2), 16)
    with torch.no_grad():
        model.latent.codebook.weight.uniform_(-2, 2)
    vectors = torch.tensor(list(itertools.product(range(3), repeat=2)))
    z_MZ = model.latent.codebook(vectors).flatten(1)
    log_prior_M = model.latent.prior.log_probability(vectors).sum(1).double()
    metrics, losses_N = evaluate(model, varied.valid, CPU)
    with torch.no_grad():
        for row, loss in zip(rows(varied.valid), losses_N, strict=True):
            log_joint_M = log_prior_M - model.reconstruction_nll(row.repeat(9), z_MZ).double()
            chosen = vectors.tolist().index(model.posterior(row).codes_BG[0].tolist())
            assert loss == pytest.approx(-log_joint_M[chosen].item(), rel=1e-5)
            assert loss > -log_joint_M.logsumexp(0).item()
    estimate = importance_weighted_nll(model, varied.valid, CPU, samples=5, sentences=21)
    assert estimate.iw_nll_N == pytest.approx(losses_N, rel=1e-5)
    assert metrics.nll_plus_kl == pytest.approx(np.mean(losses_N), rel=1e-6)


def test_the_prior_draws_entries_of_the_codebook() -> None:
    module = build()
    draw = module.sample_prior(torch.zeros(30, 6), torch.Generator().manual_seed(2))
    assert draw.value.shape == (30, 2)
    assert torch.equal(draw.z_BZ, nn.functional.embedding(draw.value, module.codebook.weight).flatten(1))
    assert VectorQuantized(codes=3, code_size=5).width(SIZES) == 15


@pytest.mark.parametrize(
    ("knob", "value", "rule"),
    [
        ("codes", 0, ">= 1"),
        ("codebook_size", 1, ">= 2"),
        ("code_size", 0, ">= 1"),
        ("commitment", -0.1, ">= 0"),
    ],
)
def test_values_out_of_range_are_refused(knob: str, value: float, rule: str) -> None:
    with pytest.raises(KnobError, match=f"{knob} must be {rule}, got {value}"):
        VectorQuantized(**{knob: value})


def test_no_two_entries_begin_in_one_place(small: MakeVariant, varied: Corpus) -> None:
    # A batch has fewer vectors than the codebook entries: some of these wait for the next batch.
    model = TextVAE(small("vq", codes=2, codebook_size=40), 16).train()
    batch = next(evaluation_batches(varied.train, 8))
    vectors = 2 * len(batch.indices_B)
    assert vectors < 40
    model.posterior(batch)
    assert int((model.latent.usage_C > 0).sum()) == vectors
    placed = model.latent.codebook.weight[model.latent.usage_C > 0]
    assert len(placed.unique(dim=0)) == vectors
