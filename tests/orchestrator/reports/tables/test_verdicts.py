"""What is said of each variant: the verdict, how sure it is, and what else has to be known."""

from __future__ import annotations

import math

import pytest

from orchestrator.analysis.verdict import Verdict
from orchestrator.reports.tables.verdicts import verdicts
from tests.orchestrator.table_sweep import KNOBS, sweep


def test_a_winner_and_a_remedy_that_is_not_told_from_the_baseline() -> None:
    assert verdicts(sweep()) == [
        f"annealed ({KNOBS}) beats the collapsed baseline by 1.90 ± 0.08 nats per sentence "
        "(p = 0.004, 3 fresh seeds)",
        "vanilla is not told from the baseline: +0.01 ± 0.08 nats per sentence, between −0.50 and +0.52 "
        "(p = 0.914, 3 fresh seeds)",
    ]


def test_what_the_search_picked_is_no_verdict() -> None:
    picked = verdicts(sweep(replicated=False))[0]
    assert picked == (
        f"annealed ({KNOBS}) looks better than the baseline: −2.10 ± 0.12 nats per sentence, untested "
        "(a single run, chosen as the best of 2: expect it to be optimistic)"
    )


def test_what_was_picked_and_has_collapsed_is_named() -> None:
    table = sweep(replicated=False)
    caveat = "; its latent variable has collapsed, so that the difference is not the latent variable's"
    assert verdicts(table.assign(collapsed=True))[0] == verdicts(table)[0] + caveat
    assert caveat not in verdicts(table.assign(collapsed=True, gain=-0.1, valid_gain=-0.1))[0]


def test_over_a_baseline_that_has_not_converged_it_is_a_gain_at_this_budget() -> None:
    found = verdicts(sweep(still_to_gain=0.4))[0]
    assert f"annealed ({KNOBS}) beats the collapsed baseline at this budget by 1.90 ± 0.08 nats" in found
    assert found.endswith(
        "; the baseline has not converged, 0.40 nats still to gain; it has not converged itself, "
        "0.40 nats still to gain"
    )
    unknown = verdicts(sweep(still_to_gain=math.nan))[0]
    assert "at this budget" in unknown
    assert unknown.endswith("; whether the baseline has converged is not known")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gain_verdict": Verdict.LOSES, "gain": -0.5}, "is worse than the baseline by 0.50 ± 0.08 nats"),
        (
            {"gain_verdict": Verdict.TIES, "gain": 0.01, "gain_low": -0.02, "gain_high": 0.04},
            "ties with the baseline: −0.01 ± 0.08 nats per sentence, between −0.04 and +0.02, within 0.07 (",
        ),
        ({"collapsed": True}, "its latent variable has collapsed, so that the difference is not the latent"),
        ({"failed": 1}, "failed in 1 of 3 runs: no comparison"),
        ({"gain_se": math.nan}, "uncertainty unknown"),
        ({"seed_noise_known": False}, "noise between seeds unknown"),
        ({"gain_p_holm": 1e-5}, "(p < 0.001, 3 fresh seeds)"),
    ],
)
def test_other_verdicts(changes: dict[str, object], words: str) -> None:
    found = "\n".join(verdicts(sweep().assign(**changes)))
    assert words in found


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (Verdict.BEATS, "; by IW-NLL it beats the baseline: −1.80 ± 0.10 (p = 0.012)"),
        (Verdict.UNDECIDED, "; by IW-NLL it is not told from the baseline: −1.80 ± 0.10 (p = 0.012)"),
        (Verdict.NONE, "fresh seeds)"),
    ],
)
def test_the_sentence_says_both(verdict: Verdict, words: str) -> None:
    columns = {"iw_gain": 1.8, "iw_gain_se": 0.1, "iw_gain_p_holm": 0.012, "iw_gain_verdict": verdict}
    assert verdicts(sweep().assign(**columns))[0].endswith(words)
