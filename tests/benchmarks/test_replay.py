"""The replay: searches over the recorded curves."""

from __future__ import annotations

import pytest

from benchmarks.record_curves import CURVES
from benchmarks.recorded import Configuration, gain, read_table
from benchmarks.replay import Strategy, replay
from orchestrator.search.ranking import Ranking
from orchestrator.search.rungs import HalvingRule
from trainables.text.corpora import load_corpus


@pytest.fixture(scope="module")
def table() -> dict[str, list[Configuration]]:
    return read_table(CURVES)


def test_the_recorded_curves(table: dict[str, list[Configuration]]) -> None:
    configurations = [each for found in table.values() for each in found]
    assert len(configurations) >= 60
    assert {len(each.curves) for each in configurations} == {3}
    for each in configurations:
        for curve in each.curves:
            lowest = min(point.nll_plus_kl for point in curve.points)
            assert curve.final.nll_plus_kl == pytest.approx(lowest, abs=2e-4)  # recorded with four digits
            assert (curve.tokens[1:] > curve.tokens[:-1]).all()


@pytest.mark.parametrize(
    "strategy",
    [
        Strategy("a", "tpe"),
        Strategy("b", "random", prune=10, quota="nothing"),
        Strategy("c", "random", halving=HalvingRule(2, 4, 2, Ranking()), quota="trials"),
        Strategy("d", "random", dominated=True),
    ],
)
def test_a_replay_spends_its_budget_and_uses_each_configuration_once(
    table: dict[str, list[Configuration]], strategy: Strategy
) -> None:
    plan = strategy.plan(1, load_corpus(None).longest)
    path = replay(strategy, table, plan, 1, 10e6)
    assert [spent for spent, _ in path] == sorted(spent for spent, _ in path)
    assert [reached for _, reached in path] == sorted(reached for _, reached in path)
    whole = replay(strategy, table, plan, 1, 30e6)
    assert path == whole[: len(path)]


def test_a_budget_without_end_finds_all_that_is_recorded(table: dict[str, list[Configuration]]) -> None:
    strategy = Strategy("all", "random", default=False)
    path = replay(strategy, table, strategy.plan(0, 20), 0, float("inf"))
    assert path[-1][1] == pytest.approx(gain([each.true for found in table.values() for each in found]))
    assert len(path) == 1 + sum(map(len, table.values()))


def test_so_many_trials_of_each_variant_of_which_dominated_ones_are_stopped(
    table: dict[str, list[Configuration]],
) -> None:
    spent = {}
    for dominated in (False, True):
        strategy = Strategy("few", "random", quota="trials", dominated=dominated)
        path = replay(strategy, table, strategy.plan(0, 20), 0, float("inf"), trials=6)
        spent[dominated] = path[-1][0]
        assert (len(path) == 2 + 6 * len(table)) is not dominated  # from nothing to what was spent in all
        assert path[-1][1] == path[-2][1]
    assert spent[True] < spent[False]
