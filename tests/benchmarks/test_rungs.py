from __future__ import annotations

from benchmarks.ranking import Ranking
from benchmarks.rungs import Halving, Rungs
from orchestrator.search.objectives import Point

BY_SUM = Ranking(elbo_share=1.0)


def test_levels() -> None:
    assert Halving(eta=3, first=4, rungs=3).levels == (4, 12, 36)
    assert [Halving().rung_of(epochs) for epochs in (3, 4, 5, 12, 36)] == [None, 0, None, 1, None]


def test_one_of_eta_goes_on_and_each_once() -> None:
    rungs = Rungs(Halving(eta=3, ranking=BY_SUM))
    for trial, nll in (("a", 0.0), ("b", -1.0), ("c", -2.0)):
        assert rungs.promotable() is None  # of fewer than three none
        rungs.enter(0, trial, Point(nll, 1.0))
    assert rungs.promotable() == "c"
    rungs.promote("c")
    for trial, nll in (("d", -1.5), ("e", 1.0)):
        rungs.enter(0, trial, Point(nll, 1.0))
        assert rungs.promotable() is None  # of four and five it is c alone
    rungs.enter(0, "f", Point(2.0, 1.0))
    assert rungs.promotable() == "d"  # the second of six
    rungs.promote("d")
    assert rungs.promotable() is None


def test_the_highest_rung_goes_first() -> None:
    rungs = Rungs(Halving(eta=2, ranking=BY_SUM))
    for trial, nll in (("a", -1.0), ("b", -2.0), ("c", -3.0), ("d", -4.0)):
        rungs.enter(0, trial, Point(nll, 1.0))
    for trial, nll in (("c", -5.0), ("d", -4.5)):
        rungs.promote(trial)
        rungs.enter(1, trial, Point(nll, 1.0))
    assert rungs.promotable() == "c"
    rungs.promote("c")
    assert rungs.promoted == [{"c", "d"}, {"c"}]
    assert rungs.promotable() is None


def test_a_collapsed_trial_goes_on_last() -> None:
    rungs = Rungs(Halving(eta=2))
    rungs.enter(0, "collapsed", Point(-9.0, 0.0))
    rungs.enter(0, "other", Point(5.0, 1.0))
    assert rungs.promotable() == "other"
