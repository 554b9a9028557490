import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from trainables.model.text_vae import TextVAE
from trainables.model.variant import Variant
from trainables.parts.part import KnobError
from trainables.text.batches import Batch
from trainables.text.oracle import Oracle, synthetic_corpus
from trainables.text.splits import Corpus, Split
from trainables.training.loop import Training
from trainables.training.posterior_means import (
    MeanSpace,
    MeanSpaceRecorder,
    Quadrature,
    check_scalar,
    mean_space,
    posterior_mean,
)

CPU = torch.device("cpu")
MakeVariant = Callable[..., Variant]


@pytest.fixture(scope="module")
def synthetic() -> Corpus:
    return synthetic_corpus(1, (40, 10, 12), Oracle(words=20, length=5, hidden_size=8))


@pytest.fixture
def model(small: MakeVariant, synthetic: Corpus) -> TextVAE:
    torch.manual_seed(5)
    return TextVAE(small("vanilla", latent_size=1), len(synthetic.vocabulary))


def lean_on_z(model: TextVAE, scale: float) -> None:
    """Multiplies all of the decoder's weights on z."""
    with torch.no_grad():
        model.decoder.start.weight *= scale
        model.decoder.lstm.weight_ih_l0[:, -1] *= scale


def by_brute_force(model: TextVAE, split: Split, sentence: int) -> tuple[float, float]:
    """μ_θ and −log p(x) by the trapezoid rule over [−9, 9] at a step of 1/100, all points in one batch."""
    z_P = torch.linspace(-9, 9, 1801, dtype=torch.float64)
    start, end = split.offsets[sentence : sentence + 2]
    tokens_PT = torch.from_numpy(split.tokens[start:end].astype(np.int64)).expand(len(z_P), -1)
    batch = Batch(tokens_PT, None, np.zeros(len(z_P), np.int64))
    model.eval()
    with torch.no_grad():
        nll_P = model.reconstruction_nll(batch, z_P.float()[:, None]).double()
    joint_P = torch.exp(-nll_P - 0.5 * z_P**2) / math.sqrt(2 * math.pi)
    evidence = torch.trapezoid(joint_P, z_P)
    return float(torch.trapezoid(z_P * joint_P, z_P) / evidence), -math.log(float(evidence))


@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_brute_force_says_the_same(model: TextVAE, synthetic: Corpus, scale: float) -> None:
    lean_on_z(model, scale)
    space = mean_space(model, synthetic.test, CPU)
    expected = np.array([by_brute_force(model, synthetic.test, n) for n in range(len(synthetic.test))])
    assert space.model_N == pytest.approx(expected[:, 0], abs=2e-6)
    assert space.nll == pytest.approx(expected[:, 1].mean(), abs=2e-6)
    assert space.model_spread > 0.05


def test_a_model_that_ignores_z_has_the_prior_as_posterior(model: TextVAE, synthetic: Corpus) -> None:
    lean_on_z(model, 0.0)
    space = mean_space(model, synthetic.test, CPU)
    assert space.model_N == pytest.approx(0.0, abs=1e-12)
    assert space.encoder_spread > 0
    model.eval()
    batch = Batch(
        torch.from_numpy(synthetic.test.tokens.reshape(12, 7).astype(np.int64)), None, np.arange(12)
    )
    with torch.no_grad():
        nll_N = model.reconstruction_nll(batch, torch.ones(12, 1))
    assert space.nll == pytest.approx(float(nll_N.mean()), abs=1e-5)


@pytest.mark.parametrize(("observed", "noise"), [(1.5, 1.0), (-3.0, 0.5), (4.0, 0.25)])
def test_a_gaussian_likelihood_gives_the_conjugate_mean(observed: float, noise: float) -> None:
    z_P = Quadrature().points(0.05)
    log_joint_1P = (-0.5 * ((observed - z_P) / noise) ** 2 - 0.5 * z_P**2)[None]
    mean = observed / (1 + noise**2)
    assert float(posterior_mean(log_joint_1P, z_P)) == pytest.approx(mean, abs=1e-6)


def test_the_encoder_is_the_models_own(model: TextVAE, synthetic: Corpus) -> None:
    space = mean_space(model, synthetic.test, CPU)
    tokens_NT = torch.from_numpy(synthetic.test.tokens.reshape(12, 7).astype(np.int64))
    with torch.no_grad():
        posterior = model.posterior(Batch(tokens_NT, None, np.arange(12)))
    assert space.encoder_N == pytest.approx(posterior.mode().z_BZ[:, 0].numpy(), abs=1e-6)
    assert space.kl == pytest.approx(float(posterior.kl().sum(1).mean()), abs=1e-6)


def test_dropout_and_word_dropout_play_no_part(small: MakeVariant, synthetic: Corpus) -> None:
    model = TextVAE(
        small("vanilla", latent_size=1, dropout=0.5, word_keep_rate=0.5), len(synthetic.vocabulary)
    )
    model.train()
    first, second = (mean_space(model, synthetic.test, CPU) for _ in range(2))
    assert first.model_N.tolist() == second.model_N.tolist()
    assert first.nll == second.nll


def test_the_step_is_halved_where_it_has_to_be(model: TextVAE, synthetic: Corpus) -> None:
    lean_on_z(model, 30.0)
    exact = np.array([by_brute_force(model, synthetic.test, n)[0] for n in range(len(synthetic.test))])
    coarse = mean_space(model, synthetic.test, CPU, rule=Quadrature(coarsest=0.4, finest=0.2))
    found = mean_space(model, synthetic.test, CPU, rule=Quadrature(coarsest=0.4))
    assert np.abs(coarse.model_N - exact).max() > 1e-4
    assert coarse.quadrature_error > 1e-4
    assert np.abs(found.model_N - exact).max() < 1e-4
    assert found.quadrature_error <= 1e-4


def test_figures_by_hand() -> None:
    space = MeanSpace(7, np.array([1.0, -1.0, 3.0, -3.0]), np.array([0.5, -0.5, 1.5, -1.5]), 0.1, 9.0, 0.0)
    assert space.model_spread == pytest.approx(math.sqrt(5))
    assert space.encoder_spread == pytest.approx(math.sqrt(5) / 2)
    assert space.correlation == pytest.approx(1.0)
    assert space.distance == pytest.approx(math.sqrt(5) / 2)
    silent = MeanSpace(7, space.model_N, np.zeros(4), 0.0, 9.0, 0.0)
    assert math.isnan(silent.correlation)
    assert silent.distance == pytest.approx(silent.model_spread)


@pytest.mark.parametrize("name", ["vanilla", "aggressive"])
def test_looking_changes_nothing(small: MakeVariant, synthetic: Corpus, name: str) -> None:
    def run(every: int | None) -> tuple[list[torch.Tensor], list[int]]:
        variant = small(name, latent_size=1, dropout=0.3, batch_size=6)
        training = Training(variant, synthetic, epochs=2, seed=3)
        seen: list[int] = []
        if every is not None:
            recorder = MeanSpaceRecorder(training, synthetic.test, every=every)

            def look() -> None:
                space = recorder.look()
                if space is not None:
                    seen.append(space.update)

            look()
            training.after_update = look
        while not training.finished:
            training.run_epoch()
        return list(training.model.state_dict().values()), seen

    (plain, _), (watched, seen) = run(None), run(4)
    assert seen == [0, 4, 8, 12, 14]  # 40 sentences in batches of 6: 7 updates an epoch
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))


def test_the_hook_is_called_once_an_update(small: MakeVariant, synthetic: Corpus) -> None:
    training = Training(small("aggressive", latent_size=1), synthetic, epochs=1, seed=3)
    steps: list[int] = []
    training.after_update = lambda: steps.append(training.cost.optimizer_steps)
    training.run_epoch()
    assert steps == list(range(1, training.steps_per_epoch + 1))


def test_the_variant_and_the_interval_are_checked(small: MakeVariant, synthetic: Corpus) -> None:
    with pytest.raises(KnobError, match="latent_size must be 1, got 3"):
        check_scalar(small("vanilla"))
    with pytest.raises(KnobError, match="language_model: latent must be gaussian, got 'none'"):
        check_scalar(small("language_model", latent_size=1))
    with pytest.raises(KnobError, match="conditional: condition must be 'none', got 'label'"):
        check_scalar(small("conditional", latent_size=1))
    training = Training(small("vanilla", latent_size=1), synthetic, epochs=1, seed=0)
    with pytest.raises(ValueError, match="every must be >= 1, got 0"):
        MeanSpaceRecorder(training, synthetic.test, every=0)
