import dataclasses
from collections.abc import Iterable, Iterator
from copy import deepcopy
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.trainables.models import MakeVariant
from trainables.common.metrics import SplitMetrics
from trainables.parts.part import KnobError
from trainables.parts.updates import Aggressive, BatchLoss, Joint, Rule
from trainables.text.batches import Batch, training_batches
from trainables.text.splits import Corpus
from trainables.training.loop import Training


def batch_of(number: int, sentences: int = 1, words: int = 1) -> Batch:
    return Batch(torch.full((sentences, words + 1), number), None, np.arange(sentences))


class ScriptedLearner:
    """Plays losses per word in turn and writes down what a rule does with it."""

    def __init__(self, losses: Iterable[float], words: Iterable[int] | None = None) -> None:
        self.losses: Iterator[float] = iter(losses)
        self.words: Iterator[int] | None = None if words is None else iter(words)
        self.log: list[str] = []
        self.drawn = 0

    def gradients(self, batch: Batch, *, inference_alone: bool = False) -> BatchLoss:
        self.log.append(f"{'own ' if inference_alone else ''}gradients {int(batch.tokens_BT[0, 0])}")
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


def test_only_inner_steps_take_the_gradients_of_the_inference_network_alone() -> None:
    learner = ScriptedLearner([3.0, 2.0, 1.0])
    Aggressive(inner_limit=2, inner_alone=True).rule().update(learner, batch_of(0))
    assert learner.log == [
        *("own gradients 0", "inference", "own gradients 1", "inference", "gradients 0", "generator"),
    ]


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


# in a training (whole epochs are compared with the published equations in test_reference.py)


def test_the_encoder_does_not_step_with_the_generator(small: MakeVariant, varied: Corpus) -> None:
    training = Training(small("aggressive", inner_limit=1), varied, epochs=1, seed=1)
    rule: Rule = training.rule
    batch = next(iter(training_batches(varied.train, 8, np.random.default_rng(3))))
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


def inner_steps_taken(small: MakeVariant, varied: Corpus, steps: int, **knobs: Any) -> Training:
    training = Training(small("aggressive", **knobs), varied, epochs=1, seed=1)
    training.model.train()
    updates = training.variant.updates
    assert isinstance(updates, Aggressive)
    for batch in islice(training_batches(varied.train, 8, np.random.default_rng(3)), steps):
        training.gradients(batch, inference_alone=updates.inner_alone)
        training.step_inference()
    return training


@pytest.mark.parametrize("decoder", ["lstm", "dilated"])
def test_inner_steps_alone_are_the_same_where_nothing_is_clipped(
    small: MakeVariant, varied: Corpus, decoder: str
) -> None:
    knobs = {"decoder": decoder, "clip_norm": 1e9}
    whole = inner_steps_taken(small, varied, 10, **knobs)
    alone = inner_steps_taken(small, varied, 10, **knobs, inner_alone=True)
    assert all(parameter.grad is None for parameter in alone.generator_parameters)
    assert all(parameter.grad is not None for parameter in whole.generator_parameters)
    for ours, theirs in zip(alone.parameters, whole.parameters, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_inner_steps_alone_are_clipped_by_their_own_norm(small: MakeVariant, varied: Corpus) -> None:
    def norms(training: Training) -> tuple[float, float]:
        gradients = [parameter.grad for parameter in training.model.inference_parameters()]
        own = torch.stack([gradient.norm() for gradient in gradients if gradient is not None]).norm()
        every = [parameter.grad for parameter in training.parameters if parameter.grad is not None]
        return float(own), float(torch.stack([gradient.norm() for gradient in every]).norm())

    own, joint = norms(inner_steps_taken(small, varied, 1, clip_norm=1e-3))
    assert joint == pytest.approx(1e-3, rel=1e-3)
    assert own < 0.9e-3
    assert norms(inner_steps_taken(small, varied, 1, clip_norm=1e-3, inner_alone=True)) == pytest.approx(
        (1e-3, 1e-3), rel=1e-3
    )


def test_the_generator_learns_after_inner_steps_alone(small: MakeVariant, varied: Corpus) -> None:
    training = Training(small("aggressive", inner_alone=True, inner_limit=1), varied, epochs=1, seed=1)
    before = [parameter.detach().clone() for parameter in training.generator_parameters]
    training.rule.update(training, next(iter(training_batches(varied.train, 8, np.random.default_rng(3)))))
    assert training.rule.state.inner_steps == 1
    after = training.generator_parameters
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))
