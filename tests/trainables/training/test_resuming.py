"""Saving and restoring: a training that was interrupted goes on as if it had not been."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainables.models import CPU, MakeVariant
from tests.trainables.runs import figures, final, same, scripted, weights
from trainables.evaluation.evaluate import evaluate
from trainables.text.splits import Corpus
from trainables.training import loop as training_module
from trainables.training.loop import Training
from trainables.variants import variant_names

# Every variant, and what else has a state of its own.
CASES: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in variant_names()] + [
    ("vanilla", {"dropout": 0.4, "word_keep_rate": 0.6}),
    ("aggressive", {"aggressive_epochs": 9, "mi_margin": 100.0}),
    ("aggressive", {"aggressive_epochs": 2, "optimizer": "sgd", "learning_rate": 0.5}),
    ("pretrained", {"pretraining_epochs": 3}),  # saved in the middle of it
    ("beta", {"schedule": "balanced"}),
    ("gumbel", {"pretraining_epochs": 2}),
]
CASE_IDS = [" ".join([name, *(f"{knob}={value}" for knob, value in knobs.items())]) for name, knobs in CASES]


@pytest.mark.parametrize(("name", "knobs"), CASES, ids=CASE_IDS)
def test_a_restored_training_continues_bit_for_bit(
    small: MakeVariant, varied: Corpus, tmp_path: Path, name: str, knobs: dict[str, Any]
) -> None:
    variant = small(name, **knobs)
    whole = Training(variant, varied, epochs=4, seed=5)
    for _ in range(2):
        whole.run_epoch()
    state = whole.state()
    torch.save(state, tmp_path / "state.pt")
    expected = [figures(whole.run_epoch()) for _ in range(2)]

    for source in (state, torch.load(tmp_path / "state.pt", weights_only=False)):
        torch.manual_seed(999)
        continued = Training(variant, varied, epochs=4, seed=77)
        continued.restore(source)
        assert continued.epoch == 2
        assert [figures(continued.run_epoch()) for _ in range(2)] == expected
        assert same(weights(continued), weights(whole))
        assert continued.finished
        assert continued.cost.optimizer_steps == whole.cost.optimizer_steps
    if knobs.get("aggressive_epochs") == 9:
        assert state["rule"].aggressive
        assert expected[1]["inner_steps"] > expected[0]["inner_steps"] > 0
    assert final(continued) == final(whole)


def test_a_decayed_rate_and_its_count_are_restored(
    small: MakeVariant, varied: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = small("vanilla", optimizer="sgd", learning_rate=0.5, decay_patience=2, decay_from=0)
    losses = [5.0, 6.0, 7.0, 8.0, 9.0, 9.5]  # decays after epochs 3 and 5
    whole = Training(variant, varied, epochs=6, seed=5)
    metrics, _ = evaluate(whole.model, varied.valid, CPU)
    monkeypatch.setattr(training_module, "evaluate", scripted(losses, metrics))
    states = []
    for _ in range(6):
        states.append(whole.state())
        whole.run_epoch()
    for done in (3, 4):
        monkeypatch.setattr(training_module, "evaluate", scripted(losses[done:], metrics))
        continued = Training(variant, varied, epochs=6, seed=77)
        continued.restore(states[done])
        rates = [continued.run_epoch().learning_rate for _ in range(6 - done)]
        assert rates == [0.25] * (5 - done) + [0.125]
        assert same(weights(continued), weights(whole))
        assert continued.decay == whole.decay
        assert same(list(continued.best_weights.values()), list(whole.best_weights.values()))


def test_a_state_is_a_snapshot(small: MakeVariant, varied: Corpus) -> None:
    training = Training(small("aggressive", aggressive_epochs=9), varied, epochs=4, seed=5)
    training.run_epoch()
    state = training.state()
    frozen = deepcopy(state)
    training.run_epoch()
    assert str(state) == str(frozen)
    other = Training(small("aggressive", aggressive_epochs=9), varied, epochs=4, seed=5)
    other.restore(state)
    other.run_epoch()
    assert str(state) == str(frozen)
    assert same(weights(other), weights(training))


def test_evaluating_between_epochs_changes_nothing(small: MakeVariant, varied: Corpus) -> None:
    quiet, watched = (Training(small("vanilla"), varied, epochs=3, seed=5) for _ in range(2))
    runs = []
    for training in (quiet, watched):
        torch.manual_seed(0)
        training.run_epoch()
        if training is watched:
            evaluate(training.model, varied.test, CPU)
            training.state()
        runs.append((figures(training.run_epoch()), weights(training)))
    assert runs[0][0] == runs[1][0]
    assert same(runs[0][1], runs[1][1])
