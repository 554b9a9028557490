"""The published rules one by one: KL weight, mutual information, the phase's end, learning-rate control."""

import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

import trainables.training.loop
from tests.trainables.published import Control, batch_information, kl_weights, still_aggressive
from trainables.common.metrics import SplitMetrics
from trainables.evaluation.evaluate import EVALUATION_BATCH, EVALUATION_SEED, evaluate
from trainables.evaluation.information import mutual_information, published_mutual_information
from trainables.latents.posteriors import GaussianPosterior
from trainables.model.text_vae import TextVAE
from trainables.parts.optimizers import SGD, DecayState
from trainables.parts.schedules import Annealed, Progress
from trainables.parts.updates import Aggressive
from trainables.text.batches import evaluation_batches, random_batch, training_batches
from trainables.text.splits import Corpus
from trainables.training.loop import Training
from trainables.variants import load_variant

SIZES = {"embedding_size": 5, "hidden_size": 6, "latent_size": 3, "batch_size": 8}


def lively_model(corpus: Corpus) -> TextVAE:
    torch.manual_seed(1)
    return TextVAE(load_variant("vanilla").with_knobs(SIZES), len(corpus.vocabulary))


# the KL weight


@pytest.mark.parametrize(("start", "warm_up"), [(0.1, 10.0), (0.0, 2.0)])
def test_the_weight_is_raised_before_each_update(start: float, warm_up: float) -> None:
    annealed = Annealed(kl_start=start, anneal_rate=(1 - start) / warm_up, published_steps=True)
    expected = kl_weights(120, start, warm_up, 45 / 8)
    found = [annealed(Progress(step, 8, 15, full_batches=45 / 8)) for step in range(120)]
    assert found == pytest.approx(expected, abs=1e-12)
    assert expected[-1] == 1.0


def test_without_published_steps_the_weight_is_an_update_behind() -> None:
    annealed = Annealed(kl_start=0.1, anneal_rate=0.09)
    published = kl_weights(100, 0.1, 10, 8)  # of the updates 1, 2, …, had an epoch as many as it has batches
    found = [annealed(Progress(step, 8, 15)) for step in range(100)]
    assert found == pytest.approx([0.1, *published[:99]], abs=1e-12)


# mutual information within batches, and what it ends


def test_information_within_batches_equals_a_plain_loop() -> None:
    rng = torch.Generator().manual_seed(3)
    mean_NZ, log_variance_NZ, noise_NZ = (torch.randn(80, 3, generator=rng) for _ in range(3))
    posterior = GaussianPosterior.standard(mean_NZ, log_variance_NZ)
    z_NZ = mean_NZ + torch.exp(log_variance_NZ / 2) * noise_NZ
    counts = [70, 1, 9]
    expected = 0.0
    for start, end in ((0, 32), (32, 64), (64, 70), (70, 71), (71, 80)):
        rows = slice(start, end)
        expected += (end - start) / 80 * batch_information(mean_NZ[rows], log_variance_NZ[rows], z_NZ[rows])
    found = published_mutual_information(posterior, z_NZ, np.array(counts))
    assert found == pytest.approx(expected, abs=1e-5)


def test_information_within_batches_has_its_cap_at_ln_32() -> None:
    """Posteriors that lie far apart tell all sentences of a batch from each other, and no more."""
    rng = torch.Generator().manual_seed(4)
    mean_NZ = 1000.0 * torch.randn(640, 8, generator=rng)
    posterior = GaussianPosterior.standard(mean_NZ, torch.zeros_like(mean_NZ))
    z_NZ = mean_NZ + torch.randn(640, 8, generator=rng)
    noise = 3 * math.sqrt(8 / 2 / 640)  # of log q(z|x) about its expectation: 8/2 a sentence
    found = published_mutual_information(posterior, z_NZ, np.array([640]))
    assert found == pytest.approx(math.log(32), abs=noise)
    assert mutual_information(posterior, z_NZ).mean() == pytest.approx(math.log(640), abs=1e-6)


def test_the_evaluation_reports_the_plain_loops_information(varied: Corpus) -> None:
    model = lively_model(varied)
    metrics, _ = evaluate(model, varied.valid, torch.device("cpu"))
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    expected = 0.0
    for batch in evaluation_batches(varied.valid, EVALUATION_BATCH):
        posterior = model.posterior(batch)
        assert isinstance(posterior, GaussianPosterior)
        z_BZ = posterior.sample(generator).z_BZ
        own = batch_information(*(x.detach() for x in (posterior.mean_BZ, posterior.log_variance_BZ, z_BZ)))
        expected += own * len(z_BZ) / len(varied.valid)
    assert metrics.mutual_information_batch == pytest.approx(expected, abs=1e-5)


def test_the_phase_ends_where_the_published_one_does(varied: Corpus) -> None:
    rng = np.random.default_rng(6)
    config = Aggressive(aggressive_epochs=100, mi_margin=0.0, published_mi=True)
    metrics, _ = evaluate(lively_model(varied), varied.valid, torch.device("cpu"))
    for information in rng.normal(0.3, 0.3, (300, 6)).cumsum(1):
        rule = config.rule()
        for epoch, value in enumerate(information, 1):
            rule.after_epoch(epoch, replace(metrics, mutual_information_batch=float(value)))
            assert rule.state.aggressive == still_aggressive(information[:epoch].tolist())


# learning-rate control


def losses_of(seed: int) -> list[float]:
    """A fall to a plateau with noise, ties included."""
    rng = np.random.default_rng(seed)
    return [round(10 + 5 * 0.7**epoch + float(rng.normal(0, 0.2)), 1) for epoch in range(60)]


@pytest.mark.parametrize("seed", range(40))
def test_decays_come_where_the_published_ones_do(seed: int) -> None:
    control, state = Control(), DecayState()
    for epoch, loss in enumerate(losses_of(seed)):
        _, back, stop = control.epoch(epoch, loss)
        before, state = state, SGD().after_epoch(state, epoch + 1, loss)
        assert (state.decays > before.decays) == back
        assert SGD().scale(state) == control.rate
        assert SGD().exhausted(state) == stop
        if stop:
            break
    assert control.decays > 0


def test_the_first_decay_is_possible_after_epoch_16() -> None:
    state, decays = DecayState(), []
    for epoch in range(1, 19):
        state = SGD().after_epoch(state, epoch, float(epoch))  # worse every time
        decays.append(state.decays)
    assert decays == [0] * 15 + [1, 1, 2]


def test_a_training_goes_back_and_slows_down_as_published(
    varied: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the validation losses are scripted."""
    script = iter(losses := losses_of(11))

    def scripted(*arguments: object) -> tuple[SplitMetrics, object]:
        metrics, losses_N = evaluate(*arguments)  # type: ignore[arg-type]
        return replace(metrics, nll_plus_kl=next(script)), losses_N

    monkeypatch.setattr(trainables.training.loop, "evaluate", scripted)
    variant = load_variant("vanilla").with_knobs({**SIZES, "optimizer": "sgd", "batch_size": 32})
    training, control = Training(variant, varied, epochs=100, seed=1), Control()
    saved, backs = deepcopy(training.model.state_dict()), 0
    for epoch, loss in enumerate(losses):
        report = training.run_epoch()
        assert report.learning_rate == control.rate
        save, back, stop = control.epoch(epoch, loss)
        if save:
            saved = deepcopy(training.model.state_dict())
        at_saved = all(torch.equal(training.model.state_dict()[name], saved[name]) for name in saved)
        assert at_saved == (save or back)
        assert training.inference_optimizer.learning_rate == control.rate
        assert training.generator_optimizer.learning_rate == control.rate
        assert training.finished == stop
        backs += back
        if stop:
            break
    assert backs == 5


# batches


def test_fixed_batches_are_the_published_ones(varied: Corpus) -> None:
    train, rng = varied.train, np.random.default_rng(2)
    first, second = (
        [tuple(batch.indices_B) for batch in training_batches(train, 8, rng, fixed=True)] for _ in range(2)
    )
    assert set(first) == set(second)
    assert first != second
    for length, count in zip(train.by_length.lengths_G, train.by_length.counts_G, strict=True):
        sizes = sorted(len(batch) for batch in first if train.lengths[batch[0]] == length)
        full, left = divmod(int(count), 8)
        assert sizes == [*([left] if left else []), *[8] * full]
    drawn = [tuple(random_batch(train, 8, rng, fixed=True).indices_B) for _ in range(4000)]
    counts = [drawn.count(batch) for batch in first]
    assert sum(counts) == 4000
    assert counts == pytest.approx([4000 / len(first)] * len(first), abs=5 * math.sqrt(4000 / len(first)))
