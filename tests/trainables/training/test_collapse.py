"""When a training has collapsed for good: counted by hand, on schedules of known ends, on a real training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from trainables.text.splits import Corpus
from trainables.training.collapse import annealed, dead_epochs
from trainables.training.loop import Training
from trainables.training.records import EpochMetrics
from trainables.variants import load_variant


@pytest.mark.parametrize(
    ("weights", "epochs"),
    [
        ([1.0, 1.0, 1.0], 0),
        ([0.2, 0.4, 0.6, 0.8, 1.0, 1.0], 4),
        ([0.5, 1.0, 0.5, 1.0, 0.5, 1.0], 5),  # cyclical: whole for good in the last cycle alone
        ([0.1, 0.98, 0.991, 1.0], 2),
        ([0.3, 0.3], 0),  # β
    ],
)
def test_where_the_annealing_ends(weights: list[float], epochs: int) -> None:
    assert annealed(weights) == epochs


def as_if(training: Training, units: list[int], information: list[float]) -> list[EpochMetrics]:
    """Epochs of a training with these active units and this mutual information."""
    if not training.history:
        training.run_epoch()
    first = training.history[0]
    return [
        replace(first, epoch=epoch, valid=replace(first.valid, active_units=active, mutual_information=nats))
        for epoch, (active, nats) in enumerate(zip(units, information, strict=True), 1)
    ]


def test_dead_epochs_in_a_row(varied: Corpus) -> None:
    training = Training(load_variant("vanilla"), varied, epochs=6, seed=0)
    *history, last = as_if(training, [0, 3, 0, 0, 0, 0], [0.0, 2.0, 0.0, 0.05, 0.0, 0.1])
    assert [dead_epochs(history[:count], 0) for count in range(6)] == [0, 1, 0, 1, 2, 3]
    assert dead_epochs(history, annealed=3) == 2
    assert dead_epochs(history, annealed=9) == 0
    assert dead_epochs([*history, last], 0) == 0  # its mutual information is no noise


@pytest.mark.parametrize(
    ("variant", "knobs", "dead"),
    [
        ("vanilla", {}, 6),
        ("annealed", {"anneal_delay": 0.0, "anneal_rate": 1 / 3, "kl_start": 0.0}, 3),
        ("cyclical", {"cycles": 1, "ramp_share": 0.5}, 3),
        ("pretrained", {"pretraining_epochs": 2, "anneal_rate": 1.0, "free_bits": 0.0}, 3),
        ("language_model", {}, 0),
    ],
)
def test_epochs_count_from_where_the_weight_is_whole(
    varied: Corpus, variant: str, knobs: dict[str, Any], dead: int
) -> None:
    """As if nothing had ever come through z: the epochs of six that the weight was whole in."""
    training = Training(load_variant(variant).with_knobs(knobs), varied, epochs=6, seed=0)
    training.history = as_if(training, [0] * 6, [0.0] * 6)
    assert training.dead_epochs == dead
