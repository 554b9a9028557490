from __future__ import annotations

from orchestrator.search.objectives import Point
from orchestrator.search.ranking import Ranking
from orchestrator.search.rungs import HalvingRule, Rungs

BY_SUM = Ranking(elbo_share=1.0)
ALL = ("a", "b", "c", "d", "e", "f", "collapsed", "other")


def test_levels() -> None:
    assert HalvingRule(eta=3, first=4, rungs=3).levels == (4, 12, 36)


def test_a_rung_is_entered_once() -> None:
    rungs = Rungs(HalvingRule())
    entered = [rungs.enter("a", behind, Point(0.0, 1.0)) for behind in (3, 4, 5, 3, 4, 11, 12, 13)]
    assert entered == [False, True, False, False, False, False, True, False]
    assert rungs.enter("b", 14, Point(1.0, 1.0))  # one that came by while nobody looked
    assert [sorted(here) for here in rungs.reached] == [["a"], ["a", "b"]]
    rungs.forget("a")
    assert [sorted(here) for here in rungs.reached] == [[], ["b"]]


def test_one_of_eta_goes_on_and_each_once() -> None:
    rungs = Rungs(HalvingRule(eta=3, ranking=BY_SUM))
    for trial, nll in (("a", 0.0), ("b", -1.0), ("c", -2.0)):
        assert rungs.promotable(ALL) is None  # of fewer than three none
        rungs.enter(trial, 4, Point(nll, 1.0))
    assert rungs.promotable(ALL) == "c"
    rungs.promote("c")
    for trial, nll in (("d", -1.5), ("e", 1.0)):
        rungs.enter(trial, 4, Point(nll, 1.0))
        assert rungs.promotable(ALL) is None  # of four and five it is c alone
    rungs.enter("f", 4, Point(2.0, 1.0))
    assert rungs.promotable(ALL) == "d"  # the second of six
    assert rungs.promotable(("a", "b")) is None  # d waits no longer
    rungs.promote("d")
    assert rungs.promotable(ALL) is None


def test_the_highest_rung_goes_first() -> None:
    rungs = Rungs(HalvingRule(eta=2, ranking=BY_SUM))
    for trial, nll in (("a", -1.0), ("b", -2.0), ("c", -3.0), ("d", -4.0)):
        rungs.enter(trial, 4, Point(nll, 1.0))
    for trial, nll in (("c", -5.0), ("d", -4.5)):
        rungs.promote(trial)
        rungs.enter(trial, 8, Point(nll, 1.0))
    assert rungs.promotable(ALL) == "c"
    rungs.promote("c")
    assert rungs.promoted == [{"c", "d"}, {"c"}]
    assert rungs.promotable(ALL) is None


def test_a_collapsed_trial_goes_on_last() -> None:
    rungs = Rungs(HalvingRule(eta=2))
    rungs.enter("collapsed", 4, Point(-9.0, 0.0))
    rungs.enter("other", 4, Point(5.0, 1.0))
    assert rungs.promotable(ALL) == "other"
