"""The estimate of the time left: by hand, and on the records of whole sweeps.

The files beside this one are default sweeps on two cores, as their MLflow has them, a row an epoch: one whose
trainings end as validation says, as they do today, and one of 12 epochs a trial, of an earlier version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from orchestrator.budget.time_left import Spent, TimeLeft, TrialCost
from orchestrator.search.costs import INNER_STEPS
from orchestrator.search.objectives import Elbo, Frontier, Point
from orchestrator.search.trial_plan import TrialPlan
from trainables.parts.encoders import LSTMEncoder, PooledEncoder

BASELINE = TrialPlan("language_model", "baseline", {}, 1)
VANILLA = TrialPlan("vanilla", "trial", {}, 1)
AGGRESSIVE = TrialPlan("aggressive", "trial", {"aggressive_epochs": 2}, 1)
"""Typical too."""
TYPICAL = {plan.variant: plan for plan in (BASELINE, VANILLA, AGGRESSIVE)}
HERE = Path(__file__).parent
SEARCHED = ("annealed", "dilated", "cyclical", "aggressive")
PLANNED = {"language_model": 10, "vanilla": 3, "annealed": 6, "dilated": 6, "cyclical": 6, "aggressive": 4}
FIXED_LENGTH = {
    "language_model": 9,
    "vanilla": 4,
    "annealed": 7,
    "dilated": 7,
    "cyclical": 7,
    "aggressive": 7,
}


def left(
    trials: list[TrialCost], *, slots: int = 1, epochs: int = 10, most: int = 10, **planned: int
) -> float | None:
    return TimeLeft(epochs, most, planned, TYPICAL, slots).seconds(trials)


def test_nothing_is_known_before_the_first_epoch() -> None:
    assert left([], vanilla=3) is None
    assert left([TrialCost(VANILLA, Spent())], vanilla=3) is None


def test_a_trial_goes_on_as_it_began() -> None:
    running = TrialCost(VANILLA, Spent(4, 40, 0, 8.0))
    assert left([running], vanilla=1) == pytest.approx(12.0)
    assert left([running], vanilla=3) == pytest.approx(12.0 + 2 * 20.0)
    waited = TrialCost(VANILLA, Spent(4, 40, 0, 8.0), waited=1.5)
    assert left([waited], vanilla=1) == pytest.approx(10.5)


def test_seconds_beside_the_epochs_count() -> None:
    done = TrialCost(VANILLA, Spent(10, 100, 0, 20.0), other=3.0)
    assert left([done], vanilla=2) == pytest.approx(23.0)
    assert left([done], vanilla=1) == 0.0


def test_an_aggressive_epoch_is_not_the_measure_of_the_others() -> None:
    """10 updates an epoch, 40 inner steps each, 0.01 s a step: an epoch of 4.1 s, then nine, one of them
    aggressive."""
    running = TrialCost(AGGRESSIVE, Spent(1, 10, 400, 4.1, 1, True))
    assert left([running], aggressive=1) == pytest.approx(4.1 + 8 * 0.1)
    assert left([running], aggressive=2) == pytest.approx(4.1 + 8 * 0.1 + 2 * 4.1 + 8 * 0.1)


def test_a_phase_that_has_ended_early_does_not_come_back() -> None:
    running = TrialCost(AGGRESSIVE, Spent(2, 20, 400, 4.2, 1, False))
    assert left([running], aggressive=1) == pytest.approx(8 * 0.1)
    done = TrialCost(AGGRESSIVE, Spent(10, 100, 400, 5.0, 1, False), other=0.0)
    assert left([done], aggressive=2) == pytest.approx(5.0 + 4.0 / 2)  # 1 epoch found, 2 typical


def test_what_has_not_run_yet_is_guessed_from_the_others() -> None:
    baseline = TrialCost(BASELINE, Spent(10, 100, 0, 6.0), other=0.0)
    step = 0.06 / LSTMEncoder.decoder_share
    assert left([baseline], language_model=1, vanilla=1) == pytest.approx(100 * step)
    aggressive = left([baseline], language_model=1, aggressive=1)
    assert aggressive == pytest.approx(100 * step + 2 * 10 * INNER_STEPS * step)
    pooled = {"vanilla": TrialPlan("vanilla", "trial", {"encoder": "pooled"}, 1)}
    cheap = TimeLeft(10, 10, {"language_model": 1, "vanilla": 1}, {**TYPICAL, **pooled}, 1).seconds(
        [baseline]
    )
    assert cheap == pytest.approx(100 * 0.06 / PooledEncoder.decoder_share)
    vanilla = TrialCost(VANILLA, Spent(10, 100, 0, 8.0), other=0.0)
    known = left([baseline, vanilla], language_model=1, vanilla=1, aggressive=1)
    assert known == pytest.approx(100 * 0.08 + 2 * 10 * INNER_STEPS * 0.08)


def test_the_last_trial_has_a_slot_to_itself() -> None:
    """Two slots: 20 s and 20 s beside each other, then 20 s alone; divided by two it would be 30 s."""
    done = TrialCost(VANILLA, Spent(10, 100, 0, 20.0), other=0.0)
    assert left([done], slots=2, vanilla=4) == pytest.approx(40.0)
    running = [TrialCost(VANILLA, Spent(5, 50, 0, 10.0))]
    assert left(running, slots=2, vanilla=3) == pytest.approx(10.0 + 20.0)


def test_where_validation_ends_trainings_those_that_have_ended_tell_how_long_they_are() -> None:
    """30 epochs, 10 planned, 40 at most; before any has ended 1.8 times the planned ones, or the most."""
    running = TrialCost(VANILLA, Spent(4, 40, 0, 8.0))
    assert left([running], most=40, vanilla=1) == pytest.approx(2.0 * (2.5 * 10 - 4))
    assert left([running], most=12, vanilla=1) == pytest.approx(2.0 * 8)
    done = TrialCost(VANILLA, Spent(30, 300, 0, 60.0), other=0.0)
    assert left([done, running], most=40, vanilla=3) == pytest.approx(2.0 * (26 + 30))
    late = TrialCost(VANILLA, Spent(35, 350, 0, 70.0))
    assert left([done, late], most=40, vanilla=2) == 0.0
    assert [TimeLeft(10, most, {}, TYPICAL, 1).place(7) for most in (10, 40)] == ["7/10", "7"]


def test_a_guess_is_as_far_off_as_those_for_other_variants_were() -> None:
    """27 epochs of a baseline where 18 had been guessed: of another variant half as many again, too."""
    baseline = TrialCost(BASELINE, Spent(27, 270, 0, 27.0), other=0.0)
    step = 0.1 / LSTMEncoder.decoder_share
    found = left([baseline], most=100, language_model=1, vanilla=1)
    assert found == pytest.approx(1.5 * 25 * 10 * step)
    assert left([baseline], most=30, language_model=1, vanilla=1) == pytest.approx(30 * 10 * step)


def test_the_best_once_more_is_as_long_as_the_best() -> None:
    """Of two that have ended the better one took 30 epochs, 10 updates each, 0.2 s an update. The one that is
    the same once more comes to 30, too, and once it has ended with 36 so do the others."""
    worse = TrialCost(VANILLA, Spent(20, 200, 0, 40.0), other=0.0, final=Point(4.0, 1.0))
    better = TrialCost(VANILLA, Spent(30, 300, 0, 60.0), other=0.0, final=Point(2.0, 2.0))
    plan = TrialPlan("vanilla", "replicate", {}, 1)

    def seconds(*trials: TrialCost, planned: int = 4) -> float | None:
        repeats = {"vanilla": 2}
        return TimeLeft(10, 40, {"vanilla": planned}, TYPICAL, 1, {}, repeats).seconds(trials)

    assert seconds(worse, better) == pytest.approx(2 * 60.0)
    assert seconds(worse, better, planned=5) == pytest.approx(2 * 60.0 + 50.0)  # a searched one: 25 epochs
    running = TrialCost(plan, Spent(5, 50, 0, 10.0))
    assert seconds(worse, better, running) == pytest.approx(50.0 + 60.0)
    done = TrialCost(plan, Spent(36, 360, 0, 72.0), other=0.0)
    assert seconds(worse, better, done) == pytest.approx(72.0)
    assert seconds(TrialCost(plan, Spent(4, 40, 0, 8.0)), planned=1) == pytest.approx(2.0 * (3.0 * 10 - 4))


def test_what_has_collapsed_so_far_is_not_run_again() -> None:
    """Three of a search and its best twice more, 50 s each: with a KL below the floor the one that has ended
    promises no more than the search's other two; the next one brings the repeats back."""
    plans = {"vanilla": 5}
    objective = Frontier(kl_floor=0.5, margin=0.0)
    estimate = TimeLeft(25, 25, plans, TYPICAL, 1, {}, {"vanilla": 2}, objective)
    collapsed = TrialCost(VANILLA, Spent(25, 250, 0, 50.0), other=0.0, final=Point(4.0, 0.4))
    using = TrialCost(VANILLA, Spent(25, 250, 0, 50.0), other=0.0, final=Point(4.0, 0.5))
    running = TrialCost(VANILLA, Spent(5, 50, 0, 10.0))
    assert estimate.seconds([running]) == pytest.approx(40.0 + 4 * 50.0)
    assert estimate.seconds([collapsed]) == pytest.approx(2 * 50.0)
    assert estimate.seconds([collapsed, using]) == pytest.approx(50.0 + 2 * 50.0)
    assert replace(estimate, objective=Elbo()).seconds([collapsed]) == pytest.approx(4 * 50.0)


def test_earlier_sweeps_are_the_guess() -> None:
    """Of vanilla 40 epochs are known from elsewhere; this sweep's baseline took half of what was guessed."""
    running = TrialCost(VANILLA, Spent(4, 40, 0, 8.0))
    known = TimeLeft(10, 100, {"vanilla": 1}, TYPICAL, 1, {"vanilla": 40.0})
    assert known.seconds([running]) == pytest.approx(2.0 * 36)
    baseline = TrialCost(BASELINE, Spent(9, 90, 0, 9.0), other=0.0)
    assert known.seconds([baseline, running]) == pytest.approx(2.0 * 16)


def costs_at(record: pd.DataFrame, now: float) -> list[TrialCost]:
    """What a sweep knows at that second of its record."""
    costs = []
    for _, trial in record[record.begin <= now].groupby("trial"):
        first = trial.iloc[0]
        knobs = (
            {} if pd.isna(first.aggressive_epochs) else {"aggressive_epochs": int(first.aggressive_epochs)}
        )
        spent = Spent()
        for row in trial[trial["at"] <= now].itertuples():
            metrics = {"optimizer_steps": row.updates, "inner_steps": row.inner, "seconds": row.seconds}
            spent = spent.after(int(row.epoch), metrics)
        since = max(first.begin, trial["at"][trial["at"] <= now].max() if spent.epochs else first.begin)
        other = first.end - first.begin - spent.seconds if first.end <= now else None
        final = Point(first.loss, 0.0) if other is not None and "loss" in first else None
        plan = TrialPlan(first.variant, first.kind, knobs, 1)
        costs.append(TrialCost(plan, spent, other, now - since, final))
    return costs


def of_the_plan(record: pd.DataFrame, planned: Mapping[str, int]) -> pd.DataFrame:
    """Without the seeds that came on top because the test had not decided: these nobody foresees."""
    trials = record.groupby("trial").variant.first()
    number = trials.groupby(trials).cumcount()
    return record[record.trial.map(number < trials.map(planned))]


@pytest.mark.parametrize(
    ("name", "epochs", "most", "planned", "repeats", "knobs"),
    [
        ("fixed_length_sweep.csv", 12, 12, FIXED_LENGTH, {}, {}),
        ("default_sweep.csv", 20, 100, PLANNED, dict.fromkeys(SEARCHED, 3), {"encoder": "pooled"}),
    ],
)
def test_after_a_fifth_of_a_sweep_the_estimate_is_within_thirty_per_cent(
    name: str,
    epochs: int,
    most: int,
    planned: Mapping[str, int],
    repeats: Mapping[str, int],
    knobs: Mapping[str, Any],
) -> None:
    record = of_the_plan(pd.read_csv(HERE / name, comment="#"), planned)
    assert record.groupby("variant").trial.nunique().to_dict() == planned
    own = {"language_model": {}, "aggressive": {**knobs, "aggressive_epochs": 1}}
    typical = {each: TrialPlan(each, "trial", own.get(each, knobs), 1) for each in planned}
    estimate = TimeLeft(epochs, most, planned, typical, 2, {}, repeats)
    begin, end = record.begin.min(), record.end.max()
    wrong = {}
    for part in range(20, 96):
        now = begin + part / 100 * (end - begin)
        seconds = estimate.seconds(costs_at(record, now))
        assert seconds is not None
        wrong[part] = seconds / (end - now) - 1
    assert min(wrong.values()) > -0.3
    assert max(wrong.values()) < 0.3
