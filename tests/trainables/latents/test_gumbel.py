"""Categorical codes: draws, temperature, and the exact likelihood by enumeration of all code vectors."""

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.trainables.models import CPU, MakeVariant, rows, talking_model
from trainables.evaluation.evaluate import evaluate
from trainables.evaluation.importance_weighting import importance_weighted_nll
from trainables.latents.gumbel import CategoricalPosterior, Gumbel
from trainables.model.text_vae import TextVAE
from trainables.parts.part import KnobError
from trainables.parts.schedules import Progress
from trainables.parts.sizes import Sizes
from trainables.text.batches import Batch
from trainables.text.splits import Corpus, Split

START, END = Progress(0, 10, 5), Progress(50, 10, 5)
SIZES = Sizes(embedding_size=4, hidden_size=5, latent_size=3)


def posterior(logits_BGC: Tensor, **knobs: Any) -> CategoricalPosterior:
    _, codes, entries = logits_BGC.shape
    config = Gumbel(codes=codes, codebook_size=entries, **knobs)
    torch.manual_seed(8)
    return CategoricalPosterior(
        logits_BGC.log_softmax(2), nn.Linear(codes * entries, 3, bias=False).to(logits_BGC), config
    )


def test_kl_by_hand() -> None:
    probability = torch.tensor([[[0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3], [1.0 - 2e-7, 1e-7, 1e-7]]])
    entropy = 1.5 * math.log(2)
    expected = [math.log(3) - entropy, 0.0, math.log(3)]
    assert posterior(probability.log()).kl().tolist()[0] == pytest.approx(expected, abs=1e-5)


def test_z_is_the_sum_of_the_codes_embeddings() -> None:
    one = posterior(torch.randn(5, 2, 4))
    draw = one.sample()
    columns = one.embed.weight.T.view(2, 4, 3)
    for sentence, codes_G in enumerate(draw.value.argmax(2)):
        expected_Z = columns[0, codes_G[0]] + columns[1, codes_G[1]]
        assert torch.allclose(draw.z_BZ[sentence], expected_Z, atol=1e-6)
    assert torch.equal(one.mode().value.argmax(2), one.log_probability_BGC.argmax(2))
    assert draw.value.sum(2).tolist() == [[1.0, 1.0]] * 5


# temperature


def test_the_temperature_runs_from_start_to_end_at_a_constant_ratio() -> None:
    config = Gumbel(temperature_start=2.0, temperature_end=0.5)
    assert config.temperature(START) == pytest.approx(2.0)
    assert config.temperature(END) == pytest.approx(0.5)
    assert config.temperature(Progress(25, 10, 5)) == pytest.approx(1.0)
    values = [config.temperature(Progress(step, 10, 5)) for step in range(51)]
    ratios = {round(after / before, 12) for before, after in itertools.pairwise(values)}
    assert ratios == {round((1 / 4) ** (1 / 50), 12)}
    constant = Gumbel(temperature_start=0.7, temperature_end=0.7)
    assert {round(constant.temperature(Progress(step, 3, 3)), 12) for step in range(10)} == {0.7}


def test_the_draw_is_a_softmax_at_the_temperature_of_the_progress() -> None:
    logits_BGC = torch.randn(4, 2, 5)
    one = posterior(logits_BGC, straight_through=False, temperature_start=3.0, temperature_end=0.2)
    for progress, temperature in ((START, 3.0), (END, 0.2)):
        torch.manual_seed(6)
        value = one.training_draw(progress).value
        torch.manual_seed(6)
        uniform = torch.exp(-torch.empty(4, 2, 5).exponential_())
        gumbel = -torch.log(-torch.log(uniform))
        expected = torch.softmax((logits_BGC + gumbel) / temperature, dim=2)
        assert torch.allclose(value, expected, atol=1e-4)


def test_a_low_temperature_gives_one_hot_codes() -> None:
    logits_BGC = torch.randn(200, 2, 5).double()
    cold = posterior(logits_BGC, straight_through=False, temperature_start=1e-4, temperature_end=1e-4)
    value = cold.training_draw(START).value
    assert value.amax(2).quantile(0.01) > 0.999
    warm = posterior(logits_BGC, straight_through=False, temperature_start=1.0).training_draw(START).value
    assert warm.amax(2).mean() < 0.8


def test_a_straight_through_draw_is_hard_with_the_gradient_of_the_relaxed() -> None:
    logits_BGC, wanted_BZ = torch.randn(6, 3, 4), torch.randn(6, 3)
    found = {}
    for straight in (True, False):
        leaf = logits_BGC.clone().requires_grad_()
        one = posterior(leaf, straight_through=straight)
        torch.manual_seed(5)
        draw = one.training_draw(START)
        (draw.z_BZ * wanted_BZ).sum().backward()  # linear, so that the gradient knows no value
        assert leaf.grad is not None
        found[straight] = draw, leaf.grad, one.embed.weight.grad
    (hard, gradient, at_embedding), (relaxed, expected, at_relaxed) = found[True], found[False]
    assert torch.equal(hard.value, nn.functional.one_hot(relaxed.value.argmax(2), 4).float())
    assert not torch.equal(relaxed.value, hard.value)
    assert torch.allclose(gradient, expected, atol=1e-6)
    assert expected.abs().min() > 0
    assert not torch.allclose(at_embedding, at_relaxed)  # that one is taken at the hard codes
    assert torch.allclose(at_embedding, wanted_BZ.T @ hard.value.flatten(1), atol=1e-5)


# frequencies


@pytest.mark.parametrize("straight", [True, False])
@pytest.mark.parametrize("draw", ["sample", "training_draw"])
def test_codes_are_drawn_with_their_probabilities(draw: str, straight: bool) -> None:
    torch.manual_seed(9)
    count, logits_1GC = 20_000, torch.randn(1, 2, 3).double()
    many = posterior(logits_1GC, straight_through=straight).repeat(count)
    value = (many.sample() if draw == "sample" else many.training_draw(START)).value
    counts = Counter(map(tuple, value.argmax(2).tolist()))
    probability_GC = logits_1GC.softmax(2)[0].tolist()
    expected = {
        (a, b): count * probability_GC[0][a] * probability_GC[1][b]
        for a, b in itertools.product(range(3), repeat=2)
    }
    chi_square = sum((counts[pair] - mean) ** 2 / mean for pair, mean in expected.items())
    assert chi_square < 26.1  # 8 degrees of freedom, p = 0.001


def test_the_prior_is_uniform() -> None:
    module = Gumbel(codes=2, codebook_size=3).build(5, SIZES)
    draw = module.sample_prior(torch.zeros(9000, 3), torch.Generator().manual_seed(2))
    counts = Counter(map(tuple, draw.value.argmax(2).tolist()))
    assert sum((counts[pair] - 1000) ** 2 / 1000 for pair in itertools.product(range(3), repeat=2)) < 26.1
    assert torch.allclose(draw.z_BZ, module.embed(draw.value.flatten(1)))


# the exact likelihood


@pytest.fixture
def tiny(small: MakeVariant) -> TextVAE:
    """A model of two codes of three entries that heeds them, its posterior neither flat nor certain."""
    model = talking_model(small("gumbel", codes=2, codebook_size=3), 16)
    with torch.no_grad():
        model.latent.embed.weight.uniform_(-2, 2)
        model.latent.linear.weight.mul_(3)
    return model


@torch.no_grad()
def by_enumeration(model: TextVAE, row: Batch) -> tuple[float, float, float]:
    """log p(x), the ELBO, and E_q[w²] / E_q[w]² − 1 of a sentence, over all nine code vectors."""
    vectors = list(itertools.product(range(3), repeat=2))
    value = nn.functional.one_hot(torch.tensor(vectors), 3).float()
    nll = model.reconstruction_nll(row.repeat(9), model.latent.embed(value.flatten(1))).double()
    log_q_GC = model.posterior(row).log_probability_BGC[0].double()
    log_q = torch.stack([log_q_GC[0, a] + log_q_GC[1, b] for a, b in vectors])
    log_joint = -nll - 2 * math.log(3)
    log_p = float(log_joint.logsumexp(0))
    elbo = float((log_q.exp() * (log_joint - log_q)).sum())
    second = float((2 * log_joint - log_q).logsumexp(0))
    return log_p, elbo, math.exp(second - 2 * log_p) - 1


def test_importance_weighting_agrees_with_enumeration(tiny: TextVAE, varied: Corpus) -> None:
    exact = np.array([by_enumeration(tiny, row) for row in rows(varied.valid)])
    samples = 2000
    estimate = importance_weighted_nll(tiny, varied.valid, CPU, samples=samples, sentences=21)
    error_N = np.sqrt(exact[:, 2] / samples)
    assert (np.abs(estimate.iw_nll_N + exact[:, 0]) < 4.5 * error_N + exact[:, 2] / samples).all()
    gap = (exact[:, 0] - exact[:, 1]).mean()
    assert gap > 20 * np.sqrt((error_N**2).sum()) / 21  # the test can tell the likelihood from the bound


def test_nll_and_kl_are_above_the_likelihood_and_estimate_the_bound(tiny: TextVAE, varied: Corpus) -> None:
    exact = np.array([by_enumeration(tiny, row) for row in rows(varied.valid)])
    assert (exact[:, 1] < exact[:, 0]).all()
    times = 200
    many = varied.valid.take(np.tile(np.arange(21), times))
    metrics, losses_N = evaluate(tiny, many, CPU)
    means_N = losses_N.reshape(times, 21).mean(0)
    error_N = losses_N.reshape(times, 21).std(0) / math.sqrt(times)
    assert (np.abs(means_N + exact[:, 1]) < 4.5 * error_N + 1e-4).all()
    assert metrics.nll_plus_kl > -exact[:, 0].mean()
    with torch.no_grad():
        kl_N = [float(tiny.posterior(row).kl().sum()) for row in rows(varied.valid)]
    assert metrics.kl == pytest.approx(np.mean(kl_N), rel=1e-5)


def test_probabilities_of_all_short_sentences_sum_to_one(tiny: TextVAE) -> None:
    # Sentences of 0 or 1 words, and what begins with 2 words or more: an exact partition of all sentences.
    with torch.no_grad():
        total, z_count = 0.0, 9
        sentences = [[], *[[word] for word in range(16) if word != 3]]
        for row in rows(Split.from_ids(sentences, None)):
            total += math.exp(by_enumeration(tiny, row)[0])
        vectors = torch.tensor(list(itertools.product(range(3), repeat=2)))
        z_MZ = tiny.latent.embed(nn.functional.one_hot(vectors, 3).float().flatten(1))
        for word in range(16):
            if word != 3:
                inputs = torch.tensor([[2, word]]).expand(z_count, 2)
                p_MTV = tiny.decode(inputs, z_MZ).softmax(2)
                total += float((p_MTV[:, 0, word] * (1 - p_MTV[:, 1, 3])).mean())
    assert total == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("knob", "value", "rule"),
    [
        ("codes", 0, ">= 1"),
        ("codebook_size", 1, ">= 2"),
        ("temperature_start", 0.0, "> 0"),
        ("temperature_end", -1.0, "> 0"),
    ],
)
def test_values_out_of_range_are_refused(knob: str, value: float, rule: str) -> None:
    with pytest.raises(KnobError, match=f"{knob} must be {rule}, got {value}"):
        Gumbel(**{knob: value})
