"""What may be said of each remedy against its baseline: one test, one standard, for NLL + KL and for IW-NLL.

Pure functions on data frames; all figures are in nats per sentence.
"""

from __future__ import annotations

import math
from enum import StrEnum

import pandas as pd

from orchestrator.analysis.paired_test import Difference, holm

ALPHA = 0.05
"""Level of all tests of a sweep together: the probability of one wrong "beats" or "loses" among them."""

MARGIN = 0.005
"""Share of the baseline's NLL within which two configurations count as equally good."""

COLLAPSED_KL = 0.1
"""Below this KL, in nats per sentence, and without an active unit a latent variable has collapsed."""


class Verdict(StrEnum):
    """How a remedy stands against the baseline with its decoder."""

    BEATS = "beats"
    LOSES = "loses"
    TIES = "ties"
    UNDECIDED = "undecided"
    NONE = ""


def judged(tests: pd.Series, margins: pd.Series, name: str, factors: pd.Series | float = 1.0) -> pd.DataFrame:
    """The columns NAME_p, NAME_p_holm, NAME_low, NAME_high and NAME_verdict.

    Args:
        tests: a `Difference` for each row, positive where the row is better than its baseline; None where
            there is no test: baselines, what the search picked by those very figures, single runs.
        margins: how large a difference may be in a tie, in nats per sentence.
        name: of the difference.
        factors: of the p-values, see `SeedRounds.factor`.

    A remedy beats or loses if 0 lies outside its interval at a level that Holm (1979) adjusts for the number
    of tests. It ties if the whole interval, at the level ALPHA divided by that number, lies within the
    margin. Else the sweep has not decided it.
    """
    found = pd.DataFrame(index=tests.index)
    p_values = pd.Series(
        [math.nan if test is None else test.p for test in tests], tests.index, dtype="float64"
    )
    found[f"{name}_p"] = (p_values * factors).clip(upper=1.0)
    found[f"{name}_p_holm"] = holm(found[f"{name}_p"].to_numpy())
    level = ALPHA / max(1, int(p_values.notna().sum()))
    levels = (pd.Series(level, tests.index) / factors).tolist()
    intervals = [_interval(test, level) for test, level in zip(tests, levels, strict=True)]
    found[f"{name}_low"], found[f"{name}_high"] = zip(*intervals, strict=True) if intervals else ((), ())
    verdicts = [
        Verdict.NONE if test is None else _verdict(test.value, p, interval, margin)
        for test, p, interval, margin in zip(tests, found[f"{name}_p_holm"], intervals, margins, strict=True)
    ]
    return found.assign(**{f"{name}_verdict": pd.Series(verdicts, index=tests.index, dtype="str")})


def _interval(test: Difference | None, level: float) -> tuple[float, float]:
    if test is None:
        return math.nan, math.nan
    half = test.half_width(level)
    return test.value - half, test.value + half


def _verdict(value: float, p: float, interval: tuple[float, float], margin: float) -> Verdict:
    if p <= ALPHA:
        return Verdict.BEATS if value > 0 else Verdict.LOSES
    low, high = interval
    return Verdict.TIES if -margin <= low and high <= margin else Verdict.UNDECIDED
