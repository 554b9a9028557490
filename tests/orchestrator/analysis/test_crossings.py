"""Gain over cost by hand: who is ahead at which budget."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from orchestrator.analysis.crossings import Stretch, gain_over_cost, stretches


def run(tokens: list[float], losses: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"tokens": tokens, "nll_plus_kl": losses})


def test_by_hand() -> None:
    """The baseline: 14 from 10 on, 12 from 20 on, then nothing better. Ours: 15 from 15 on, 11 from 40 on."""
    costs, gains = gain_over_cost([run([15, 40], [15.0, 11.0])], [run([10, 20, 30], [14.0, 12.0, 13.0])])
    assert costs.tolist() == [15, 20, 30, 40]
    assert gains.tolist() == [-1.0, -3.0, -3.0, 1.0]
    assert stretches(costs, gains, 0.5) == [Stretch(15, False), Stretch(40, True)]
    assert stretches(costs, gains, 1.0) == [Stretch(20, False)]
    assert stretches(costs, gains, 5.0) == []


def test_seeds_are_averaged_at_each_budget() -> None:
    ours = [run([10, 20], [14.0, 10.0]), run([10, 30], [12.0, 11.0])]
    costs, gains = gain_over_cost(ours, [run([10], [13.0])])
    assert costs.tolist() == [10, 20, 30]
    assert gains.tolist() == [0.0, 13.0 - (10.0 + 12.0) / 2, 13.0 - (10.0 + 11.0) / 2]


def test_a_lead_lasts_until_the_other_has_one() -> None:
    gains = np.array([0.1, 0.6, 0.1, -0.1, -0.7, -0.2, 0.9])
    assert stretches(np.arange(7.0), gains, 0.5) == [Stretch(1, True), Stretch(4, False), Stretch(6, True)]


@pytest.mark.parametrize("theirs", [[], [run([], [])]])
def test_without_epochs_there_is_nothing_to_say(theirs: list[pd.DataFrame]) -> None:
    costs, gains = gain_over_cost([run([10], [13.0])], theirs)
    assert (costs.tolist(), gains.tolist()) == ([], [])
