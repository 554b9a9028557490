import dataclasses
from collections.abc import Iterable, Iterator
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from tests.trainables.models import MakeVariant
from trainables.batches import Batch, training_batches
from trainables.evaluation import SplitMetrics
from trainables.model import TextVAE
from trainables.parts import KnobError
from trainables.splits import Corpus
from trainables.training import Training
from trainables.updates import Aggressive, BatchLoss, Joint, Rule


def batch_of(number: int, sentences: int = 1, words: int = 1) -> Batch:
    return Batch(torch.full((sentences, words + 1), number), None, np.arange(sentences))


class ScriptedLearner:
    """Plays losses per word in turn and writes down what a rule does with it."""

    def __init__(self, losses: Iterable[float], words: Iterable[int] | None = None) -> None:
        self.losses: Iterator[float] = iter(losses)
        self.words: Iterator[int] | None = None if words is None else iter(words)
        self.log: list[str] = []
        self.drawn = 0

    def gradients(self, batch: Batch) -> BatchLoss:
        self.log.append(f"gradients {int(batch.tokens_BT[0, 0])}")
        words = 1 if self.words is None else next(self.words)
        nats = torch.tensor(next(self.losses) * words)
        return BatchLoss(objective=nats, nll=nats, kl=torch.tensor(0.0), words=words)

    def step_inference(self) -> None:
        self.log.append("inference")

    def step_generator(self) -> None:
        self.log.append("generator")

    def random_batch(self) -> Batch:
        self.drawn += 1
        return batch_of(self.drawn)


def inner_steps(losses: Iterable[float], words: Iterable[int] | None = None, **knobs: int) -> int:
    learner = ScriptedLearner([*losses, *[9.0] * 500], words)
    Aggressive(**knobs).rule().update(learner, batch_of(0))
    return learner.log.count("inference")


def valid(information: float, error: float = 0.0, batch_information: float = 0.0) -> SplitMetrics:
    return SplitMetrics(
        nll=1.0,
        kl=1.0,
        nll_plus_kl=2.0,
        nll_plus_kl_se=0.1,
        perplexity=2.0,
        mutual_information=information,
        mutual_information_se=error,
        mutual_information_sentences=10,
        mutual_information_cap=2.3,
        mutual_information_batch=batch_information,
        active_units=1,
    )


def phase(config: Aggressive, metrics: Iterable[SplitMetrics]) -> list[bool]:
    """Whether the phase goes on after each epoch."""
    rule = config.rule()
    went_on = []
    for epoch, metric in enumerate(metrics, 1):
        rule.after_epoch(epoch, metric)
        went_on.append(rule.state.aggressive)
    return went_on


# the order of steps


def test_joint_steps_both_on_the_same_gradients() -> None:
    learner = ScriptedLearner([3.0])
    loss = Joint().rule().update(learner, batch_of(7))
    assert learner.log == ["gradients 7", "inference", "generator"]
    assert float(loss.objective) == 3.0


def test_aggressive_trains_inference_first_and_then_the_generator_alone() -> None:
    learner = ScriptedLearner([3.0, 2.0, 1.0, 0.5])
    rule = Aggressive(inner_limit=3).rule()
    loss = rule.update(learner, batch_of(0))
    assert learner.log == [
        *("gradients 0", "inference", "gradients 1", "inference", "gradients 2", "inference"),
        *("gradients 0", "generator"),
    ]
    assert float(loss.objective) == 0.5
    assert rule.state.inner_steps == 3


def test_inner_steps_add_up_over_updates() -> None:
    rule = Aggressive(inner_limit=4).rule()
    for _ in range(3):
        rule.update(ScriptedLearner([1.0] * 5), batch_of(0))
    assert rule.state.inner_steps == 12


def test_after_the_phase_the_rule_is_joint() -> None:
    rule = Aggressive(aggressive_epochs=1).rule()
    rule.after_epoch(1, valid(0.5))
    learner = ScriptedLearner([3.0])
    rule.update(learner, batch_of(7))
    assert learner.log == ["gradients 7", "inference", "generator"]
    assert rule.state.inner_steps == 0


def test_no_aggressive_epochs_is_joint_from_the_start() -> None:
    learner = ScriptedLearner([3.0])
    Aggressive(aggressive_epochs=0).rule().update(learner, batch_of(7))
    assert learner.log == ["gradients 7", "inference", "generator"]


# when the inner loop stops


def test_the_inner_loop_stops_when_a_window_of_15_is_worse() -> None:
    assert inner_steps([5.0] * 15 + [4.0] * 15 + [4.1] * 15) == 45
    assert inner_steps([5.0] * 15 + [5.1] * 15) == 30


def test_an_equal_window_goes_on() -> None:
    assert inner_steps([5.0] * 45 + [5.5] * 15) == 60


def test_only_window_means_count() -> None:
    rising_within = [1.0 + step for step in range(15)]
    assert inner_steps([*rising_within, *rising_within, *(loss + 0.01 for loss in rising_within)]) == 45


@pytest.mark.parametrize("limit", [1, 14, 15, 100])
def test_the_inner_loop_takes_at_most_its_limit(limit: int) -> None:
    falling = [1000.0 - step for step in range(400)]
    assert inner_steps(falling, inner_limit=limit) == limit
    assert inner_steps(falling) == 100


def test_the_mean_is_per_word_not_per_batch() -> None:
    # Means of the batches rise (2 → 2.5) while the mean over words falls (2.8 → 2.5): goes on.
    losses, words = [1.0, 3.0, 2.5, 2.5, 9.0, 9.0], [1, 9, 5, 5, 1, 1]
    assert inner_steps(losses, [*words, *[1] * 500], inner_window=2) == 6
    # And the other way: 2 → 1.9 over batches, 1.2 → 1.9 over words: stops.
    assert inner_steps([1.0, 3.0, 1.9, 1.9], [9, 1, 5, 5, *[1] * 500], inner_window=2) == 4


# when the phase ends


def test_the_phase_ends_after_its_epochs() -> None:
    rising = [valid(0.1 * epoch) for epoch in range(1, 7)]
    assert phase(Aggressive(aggressive_epochs=4), rising) == [True, True, True, False, False, False]


def test_the_phase_ends_when_information_falls_beyond_the_margin() -> None:
    metrics = [valid(1.0, 0.1), valid(0.85, 0.1), valid(0.79, 0.1), valid(5.0, 0.1)]
    assert phase(Aggressive(aggressive_epochs=9), metrics) == [True, True, False, False]


def test_a_noisy_drop_within_the_margin_changes_nothing() -> None:
    metrics = [valid(information, 0.1) for information in (1.0, 0.9, 1.1, 0.95, 1.05)]
    assert phase(Aggressive(aggressive_epochs=9), metrics) == [True] * 5


def test_the_drop_is_measured_from_the_best_so_far() -> None:
    slowly = [valid(information, 0.1) for information in (1.0, 0.9, 0.81, 0.72)]
    assert phase(Aggressive(aggressive_epochs=9), slowly) == [True, True, True, False]


def test_without_a_margin_the_first_drop_ends_the_phase() -> None:
    metrics = [valid(1.0, 0.5), valid(1.0, 0.5), valid(0.999, 0.5), valid(2.0, 0.5)]
    assert phase(Aggressive(aggressive_epochs=9, mi_margin=0.0), metrics) == [True, True, False, False]


def test_a_negative_first_estimate_does_not_end_the_phase() -> None:
    assert phase(Aggressive(aggressive_epochs=9, mi_margin=0.0), [valid(-0.017), valid(0.1)]) == [True, True]


def test_the_published_information_may_decide() -> None:
    metrics = [valid(*figures) for figures in ((1.0, 0.0, 0.5), (0.9, 0.0, 0.6), (1.1, 0.0, 0.55))]
    for published, went_on in ((False, [True, False, False]), (True, [True, True, False])):
        config = Aggressive(aggressive_epochs=9, mi_margin=0.0, published_mi=published)
        assert phase(config, metrics) == went_on


@pytest.mark.parametrize(
    ("knob", "value", "rule"),
    [
        *(("aggressive_epochs", -1, ">= 0"), ("mi_margin", -1.0, ">= 0")),
        *(("inner_limit", 0, ">= 1"), ("inner_window", 0, ">= 1")),
    ],
)
def test_values_out_of_range_are_refused(knob: str, value: float, rule: str) -> None:
    with pytest.raises(KnobError, match=f"{knob} must be {rule}, got {value}"):
        dataclasses.replace(Aggressive(), **{knob: value})


# against a plain implementation


class PlainSGD:
    """The two update rules on a copy of the model, with nothing from the product but its layers."""

    def __init__(self, training: Training, batch_size: int, limit: float, kl_weight: float) -> None:
        self.model: TextVAE = deepcopy(training.model).train()
        self.batch_size, self.limit, self.kl_weight = batch_size, limit, kl_weight
        self.clipped = 0

    def gradients(self, batch: Batch) -> tuple[dict[str, Tensor], float]:
        model, tokens_BT = self.model, batch.tokens_BT
        posterior = model.posterior(batch)
        deviation_BZ = posterior.log_variance_BZ.exp().sqrt()
        z_BZ = posterior.mean_BZ + deviation_BZ * torch.randn(deviation_BZ.shape)
        log_p_BTV = torch.log_softmax(model.decoder(tokens_BT[:, :-1], z_BZ), dim=2)
        nll = -log_p_BTV.gather(2, tokens_BT[:, 1:].unsqueeze(2)).sum()
        kl = kl_divergence(Normal(posterior.mean_BZ, deviation_BZ), Normal(0.0, 1.0)).sum()
        loss = nll + self.kl_weight * kl
        names, parameters = zip(*model.named_parameters(), strict=True)
        gradients = torch.autograd.grad(loss / self.batch_size, parameters)
        norm = sum(float(gradient.square().sum()) for gradient in gradients) ** 0.5
        self.clipped += norm > self.limit
        factor = min(1.0, self.limit / (norm + 1e-6))
        return {name: factor * g for name, g in zip(names, gradients, strict=True)}, float(loss.detach())

    def step(self, gradients: dict[str, Tensor], generator: bool, rate: float) -> None:
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if name.startswith("decoder.") == generator:
                    parameter -= rate * gradients[name]


def batches_of(corpus: Corpus, seed: int) -> list[Batch]:
    return list(training_batches(corpus.train, 8, np.random.default_rng(seed)))


def assert_equal_parameters(actual: TextVAE, expected: TextVAE, start: TextVAE) -> None:
    moved = 0.0
    others = zip(expected.parameters(), start.parameters(), strict=True)
    for (name, parameter), (other, first) in zip(actual.named_parameters(), others, strict=True):
        assert torch.allclose(parameter, other, rtol=0, atol=1e-6), name
        moved += float((parameter - first).detach().abs().max())
    assert moved > 1e-2


@pytest.mark.parametrize(("clip", "beta"), [(0.1, 1.0), (1000.0, 0.3)])
def test_joint_updates_equal_a_plain_implementation(
    small: MakeVariant, varied: Corpus, clip: float, beta: float
) -> None:
    variant = small("vanilla", optimizer="sgd", learning_rate=0.2, clip_norm=clip, beta=beta)
    training = Training(variant, varied, epochs=2, seed=1)
    start = deepcopy(training.model)
    plain = PlainSGD(training, 8, clip, beta)
    batches = batches_of(varied, 3)[:7]
    assert len({batch.tokens_BT.shape[0] for batch in batches}) > 1
    rule = training.rule
    training.model.train()
    for number, batch in enumerate(batches):
        torch.manual_seed(number)
        loss = rule.update(training, batch)
        torch.manual_seed(number)
        gradients, nats = plain.gradients(batch)
        plain.step(gradients, generator=False, rate=0.2)
        plain.step(gradients, generator=True, rate=0.2)
        assert float(loss.objective) == pytest.approx(nats, rel=1e-5)
        assert loss.words == (batch.tokens_BT.shape[1] - 1) * batch.tokens_BT.shape[0]
    assert plain.clipped == (7 if clip < 1 else 0)
    assert_equal_parameters(training.model, plain.model, start)


def test_aggressive_updates_equal_a_plain_implementation(
    small: MakeVariant, varied: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate, limit, window = 0.5, 9, 2
    inner = {"inner_limit": limit, "inner_window": window}
    variant = small("aggressive", optimizer="sgd", learning_rate=rate, clip_norm=2.0, **inner)
    training = Training(variant, varied, epochs=2, seed=1)
    start = deepcopy(training.model)
    plain = PlainSGD(training, 8, 2.0, 1.0)
    pool = batches_of(varied, 4) * 10
    training.model.train()
    own, other = iter(pool), iter(pool)
    monkeypatch.setattr(training, "random_batch", lambda: next(own))
    counts = []
    for number, batch in enumerate(batches_of(varied, 3)[:5]):
        torch.manual_seed(number)
        training.rule.update(training, batch)
        torch.manual_seed(number)
        counts.append(plain_aggressive_update(plain, batch, other, rate, limit, window))
    assert training.rule.state.inner_steps == sum(counts)
    assert min(counts) < limit
    assert training.cost.optimizer_steps == 5
    assert_equal_parameters(training.model, plain.model, start)


def plain_aggressive_update(
    plain: PlainSGD, batch: Batch, others: Iterator[Batch], rate: float, limit: int, window: int
) -> int:
    """Algorithm 1 of He et al. 2019 with the stopping rule of their code; the inner steps taken."""
    steps, before, nats, words, inner = 0, float("inf"), 0.0, 0, batch
    while True:
        gradients, loss = plain.gradients(inner)
        plain.step(gradients, generator=False, rate=rate)
        nats += loss
        words += inner.tokens_BT.shape[0] * (inner.tokens_BT.shape[1] - 1)
        steps += 1
        if steps % window == 0:
            if nats / words > before:
                break
            before, nats, words = nats / words, 0.0, 0
        inner = next(others)
        if steps == limit:
            break
    gradients, _ = plain.gradients(batch)
    plain.step(gradients, generator=True, rate=rate)
    return steps


def test_the_encoder_does_not_step_with_the_generator(small: MakeVariant, varied: Corpus) -> None:
    training = Training(small("aggressive", inner_limit=1), varied, epochs=1, seed=1)
    rule: Rule = training.rule
    batch = batches_of(varied, 3)[0]
    seen: list[list[Tensor]] = []
    original = training.step_generator

    def watched() -> None:
        seen.append([parameter.detach().clone() for parameter in training.model.inference_parameters()])
        original()
        seen.append([parameter.detach().clone() for parameter in training.model.inference_parameters()])

    decoder_before = deepcopy(training.model.decoder.state_dict())
    training.step_generator = watched
    rule.update(training, batch)
    assert len(seen) == 2
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))
    decoder_after = training.model.decoder.state_dict()
    assert any(not torch.equal(decoder_before[name], decoder_after[name]) for name in decoder_after)
