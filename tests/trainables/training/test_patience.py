"""Trainings as long as validation improves: when they end, at which rate, with which weight of the KL."""

from typing import Any

import pytest
import torch

from tests.trainables.models import CPU, MakeVariant
from tests.trainables.runs import figures, final, same, scripted, weights
from trainables.evaluation.evaluate import evaluate
from trainables.text.splits import Corpus
from trainables.training import loop as training_module
from trainables.training.loop import Training


def trained(
    variant: Any, corpus: Corpus, losses: list[float], monkeypatch: pytest.MonkeyPatch, **length: int
) -> Training:
    """A training whose validation NLL + KL are these, run to its end."""
    training = Training(variant, corpus, seed=1, **length)
    metrics, _ = evaluate(training.model, corpus.valid, CPU)
    monkeypatch.setattr(training_module, "evaluate", scripted(losses, metrics))
    while not training.finished:
        training.run_epoch()
    return training


def test_it_ends_after_three_plateaus_at_the_rates_by_hand(
    small: MakeVariant, varied: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = [9.0, 8.0, 8.5, 8.5, 8.5, 7.0, *[7.5] * 20]
    variant = small("vanilla", learning_rate=0.01, decay_patience=2)
    training = trained(variant, varied, losses, monkeypatch, epochs=4, max_epochs=30)
    # Epochs 3 to 5 are worse than 2: the first decay is at 5, the first after the planned ones. 6 is better,
    # 7 and 8 are worse: the second at 8. 9 and 10 are no lower than that: the third, which ends it.
    rates = [epoch.learning_rate for epoch in training.history]
    assert rates == pytest.approx([0.01] * 5 + [0.003] * 3 + [0.0009] * 2)
    assert (training.epoch, training.best_epoch) == (10, 6)


def test_the_last_epoch_is_the_last(
    small: MakeVariant, varied: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    falling = [9.0 - 0.1 * epoch for epoch in range(40)]
    training = trained(small("vanilla"), varied, falling, monkeypatch, epochs=4, max_epochs=7)
    assert (training.epoch, training.best_epoch) == (7, 7)
    fixed = trained(small("vanilla"), varied, [9.0] * 40, monkeypatch, epochs=9)
    assert (fixed.epoch, {epoch.learning_rate for epoch in fixed.history}) == (9, {0.002})


def test_what_it_still_had_to_gain(
    small: MakeVariant, varied: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = small("vanilla", decay_patience=1, max_decays=2)
    ended = trained(variant, varied, [9.0, 8.0, 8.1, 7.9, 7.95], monkeypatch, epochs=2, max_epochs=30)
    assert ended.still_to_gain == pytest.approx(0.1)  # what the lower rate brought
    falling = trained(small("vanilla"), varied, [11.0, 10.0, 9.0, 8.0], monkeypatch, epochs=4)
    assert falling.still_to_gain == pytest.approx(4 * 2.0)
    assert falling.optimizer == falling.variant.optimizer


@pytest.mark.parametrize(
    ("name", "knobs"),
    [("cyclical", {"cycles": 2, "ramp_share": 1.0}), ("annealed", {"anneal_rate": 1.0, "anneal_delay": 0.0})],
)
def test_beyond_the_planned_epochs_the_weight_is_the_full_one(
    small: MakeVariant, varied: Corpus, monkeypatch: pytest.MonkeyPatch, name: str, knobs: dict[str, Any]
) -> None:
    falling = [9.0 - 0.1 * epoch for epoch in range(40)]
    training = trained(small(name, **knobs), varied, falling, monkeypatch, epochs=4, max_epochs=6)
    assert [epoch.kl_weight for epoch in training.history[4:]] == [1.0, 1.0]
    assert training.history[3].kl_weight == pytest.approx(1.0, abs=0.5)


def test_it_continues_bit_for_bit(small: MakeVariant, varied: Corpus) -> None:
    def start() -> Training:
        variant = small("annealed", learning_rate=0.05, decay_patience=1)
        return Training(variant, varied, epochs=2, max_epochs=12, seed=5)

    whole = start()
    while whole.decay.decays == 0:
        whole.run_epoch()
    state = whole.state()
    expected = []
    while not whole.finished:
        expected.append(figures(whole.run_epoch()))
    torch.manual_seed(999)
    continued = start()
    continued.restore(state)
    assert [figures(continued.run_epoch()) for _ in expected] == expected
    assert continued.finished
    assert same(weights(continued), weights(whole))
    assert final(continued) == final(whole)


def test_a_length_that_cannot_be(small: MakeVariant, varied: Corpus) -> None:
    with pytest.raises(ValueError, match="max_epochs must be >= epochs, 4, got 3"):
        Training(small("vanilla"), varied, epochs=4, max_epochs=3, seed=1)
