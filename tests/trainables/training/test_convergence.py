"""The estimate of what a longer training would bring, on curves whose limit is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trainables.training.convergence import still_to_gain

EPOCHS = np.arange(1, 41)


@pytest.mark.parametrize("power", [0.4, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("epochs", [40, 200])
def test_exact_for_a_curve_that_falls_as_a_power_of_the_epoch(power: float, epochs: int) -> None:
    losses = 10.0 + 3.0 * np.arange(1, epochs + 1) ** -power
    assert still_to_gain(losses.tolist()) == pytest.approx(losses[-1] - 10.0)


@pytest.mark.parametrize("epochs_to_half", [2.0, 5.0, 10.0, 20.0])
def test_never_too_low_for_an_exponential(epochs_to_half: float) -> None:
    losses = 10.0 + 3.0 * 0.5 ** (EPOCHS / epochs_to_half)
    assert still_to_gain(losses.tolist()) >= losses[-1] - 10.0


def test_next_to_nothing_for_one_that_has_long_come_to_its_end() -> None:
    assert still_to_gain((10.0 + 3.0 * 0.5**EPOCHS).tolist()) < 1e-3


@pytest.mark.parametrize("turn", [5, 10, 20])
def test_nothing_where_the_best_lies_far_back(turn: int) -> None:
    """Overfitting: the loss rises from an epoch of the first half on."""
    assert still_to_gain((10.0 + np.abs(EPOCHS - turn)).tolist()) == 0.0


def test_a_curve_that_falls_ever_faster_has_much_to_gain() -> None:
    """By hand: the best of 10, 20 and 40 epochs are 9, 6 and −6; 12 after 3 is too steep: four times 12."""
    losses = 10.0 - 0.01 * EPOCHS.astype(float) ** 2
    assert still_to_gain(losses.tolist()) == pytest.approx(4 * 12.0)


def test_a_fall_in_the_last_quarter_counts_as_what_it_was() -> None:
    losses = np.where(EPOCHS > 35, 9.5, 10.0)
    losses[:5] = 20.0
    assert still_to_gain(losses.tolist()) == pytest.approx(4 * 0.5)
    losses[9:20] = 15.0
    losses[:9] = 40.0
    assert still_to_gain(losses.tolist()) >= 0.5


def test_noise_of_a_tenth_is_no_gain_of_a_tenth() -> None:
    rng = np.random.default_rng(0)
    found = [still_to_gain((10 + rng.normal(0, 0.1, 60)).tolist()) for _ in range(200)]
    assert np.median(found) < 0.1
    assert np.quantile(found, 0.9) < 0.5


def test_where_the_rates_control_has_ended_it_is_what_the_last_rate_brought() -> None:
    losses, rates = [12.0, 11.0, 10.5, 10.2, 10.1, 10.15], [1.0, 1.0, 1.0, 0.5, 0.25, 0.25]
    assert still_to_gain(losses, rates, ended=True) == pytest.approx(0.1)
    assert still_to_gain(losses, rates) > 0.5
    assert still_to_gain(losses, [1.0] * 6, ended=True) == still_to_gain(losses)


@pytest.mark.parametrize("losses", [[], [1.0, 2.0, 3.0], [4.0, math.nan, 2.0, 1.0]])
def test_unknown(losses: list[float]) -> None:
    assert math.isnan(still_to_gain(losses))
