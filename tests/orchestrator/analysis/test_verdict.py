"""What beats, loses, ties and is undecided; and what does not count though it beats."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import pytest

from orchestrator.analysis.verdict import Verdict
from tests.orchestrator.analysis.test_frontier import baseline, row_of, run, table


def verdict_of(
    totals: Sequence[float], *, kl: float = 1.0, units: float = 2.0, still: float = 0.0
) -> pd.Series:
    """Of a remedy with these totals against baselines at 13.00, 13.01, 13.02 that had `still` to gain."""
    rows = [run(f"b{s}", "language_model", "baseline", s, 13.0 + 0.01 * s, still=still) for s in range(3)]
    rows += [run(f"v{s}", "vanilla", "trial", s, total, kl=kl, units=units) for s, total in enumerate(totals)]
    return row_of(table(rows), "vanilla")


def test_what_beats_loses_ties_and_is_undecided() -> None:
    """The margin of a tie is 0.5 % of 13.01, 0.065 nats."""
    found = {
        Verdict.BEATS: [12.0, 12.01, 12.02],
        Verdict.LOSES: [14.0, 14.01, 14.02],
        Verdict.TIES: [13.0, 13.01, 13.02],
        Verdict.UNDECIDED: [12.0, 13.0, 13.5],
    }
    assert {verdict: verdict_of(totals)["gain_verdict"] for verdict, totals in found.items()} == {
        verdict: verdict for verdict in found
    }
    assert [verdict_of(totals)["beats_baseline"] for totals in found.values()] == [True, False, False, False]


def test_a_gain_over_a_baseline_that_has_not_converged_does_not_count() -> None:
    totals = [12.0, 12.01, 12.02]  # the standard error is 0.008, the margin 0.065
    assert verdict_of(totals, still=0.06)["beats_baseline"]
    for still in (0.07, math.nan):
        row = verdict_of(totals, still=still)
        assert (row["gain_verdict"], row["baseline_converged"]) == (Verdict.BEATS, False)
        assert row["baseline_still_to_gain"] == pytest.approx(still, nan_ok=True)
        assert not row["beats_baseline"]


@pytest.mark.parametrize(
    ("kl", "units", "collapsed"), [(0.05, 0.0, True), (0.05, 1.0, False), (0.2, 0.0, False)]
)
def test_a_collapsed_winner_wins_nothing(kl: float, units: float, collapsed: bool) -> None:
    row = verdict_of([12.0, 12.01, 12.02], kl=kl, units=units)
    assert (row["gain_verdict"], row["collapsed"]) == (Verdict.BEATS, collapsed)
    assert row["beats_baseline"] == (not collapsed)


def test_verdicts_are_adjusted_for_the_number_of_remedies() -> None:
    rows = [baseline(f"b{s}", s, 13.0 + 0.1 * s) for s in range(3)]
    names = ["vanilla", "annealed", "cyclical", "beta"]
    rows += [run(f"{v}{s}", v, "trial", s, 12.4 + 0.1 * s, kl=1.0) for v in names for s in range(3)]
    frame = table(rows)
    alone = row_of(table([row for row in rows if row["variant"] in ("language_model", "beta")]), "beta")
    assert alone["gain_verdict"] == Verdict.BEATS
    tested = frame[frame["kind"] == "trial"]
    assert tested["gain_p"].tolist() == pytest.approx([alone["gain_p"]] * 4)
    assert tested["gain_p_holm"].tolist() == pytest.approx([4 * alone["gain_p"]] * 4)
    assert set(tested["gain_verdict"]) == {Verdict.UNDECIDED}
