"""The comparison of sweeps and the importance of knobs as tables, for a terminal, Markdown and a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import pandas as pd

from orchestrator.analysis.sweeps.comparison import Comparison
from orchestrator.analysis.sweeps.importance import TARGETS, Importance
from orchestrator.analysis.sweeps.tests import OVERALL
from orchestrator.common.wording import ABSENT, difference, number, probability
from orchestrator.reports.tables.layout import MEANINGS, STALE
from orchestrator.reports.tables.plain import PlainTable

INDICATORS_TITLE = "Frontiers"
EPSILONS_TITLE = "What a frontier lacks"
TESTS_TITLE = "Best configurations against each other"
IMPORTANCE_TITLE = "Which knobs matter"
_INDICATORS_CAPTION = (
    "nats per sentence, areas in their squares; hypervolume: the area that the frontier dominates within KL "
    "and NLL of {reference}, the highest baseline; area gained: between the frontier and the collapsed line; "
    "vs baseline: of the best configuration; seeds: sets of the attainment surfaces"
)
_EPSILONS_CAPTION = (
    "additive ε: the nats per sentence by which both objectives of the first frontier must fall for it to be "
    "nowhere worse than the second; 0 or less: it is so already"
)
_TESTS_CAPTION = (
    "difference of mean NLL + KL on test, first − second, nats per sentence, ± 1 standard error of sentences "
    "(paired) and training seeds; p: two-sided, by Banerjee's interval; "
    "p (Holm): adjusted for the rows of this table"
)
_IMPORTANCE_CAPTION = (
    "shares of the variance over the searched ranges that fANOVA gives each knob, on test figures of single "
    "trials; R²: of its forest on trials that its trees have not seen"
)


def comparison_tables(comparison: Comparison) -> list[PlainTable]:
    """Indicators, additive ε, tests."""
    return [_indicators(comparison), _epsilons(comparison), _tests(comparison.tests)]


def importance_table(importances: Sequence[Importance]) -> PlainTable:
    """A row for each variant and target; one alone where no target can be explained for the same reason."""
    headers = ["variant", "target", "trials", "R²", "share of each knob"]
    rows = [row for _, group in groupby(importances, lambda one: one.variant) for row in _importance(group)]
    words = ["variant", "target", "share of each knob"]
    caption = _IMPORTANCE_CAPTION if any(one.shares for one in importances) else ""
    return PlainTable(IMPORTANCE_TITLE, headers, rows, words, caption if rows else "No knobs were searched")


def _indicators(comparison: Comparison) -> PlainTable:
    headers = ["sweep", "runs", "baseline", "hypervolume", "area gained", "best", "vs baseline", "seeds"]
    table = comparison.indicators
    rows = [
        [
            str(row["sweep"]), str(row["trials"]), number(row["baseline_nll"]), number(row["hypervolume"]),
            number(row["area_gained"]), _best(row), difference(-row["best_gain"], row["best_gain_se"]),
            str(row["seeds"]),
        ]
        for _, row in table.iterrows()
    ]  # fmt: skip
    caption = _INDICATORS_CAPTION.format(reference=number(comparison.reference[1]))
    stale = (~table["best_fresh"] & (table["best_variant"] != "")).any()
    caption = f"{caption}; {MEANINGS[STALE]}" if stale else caption
    return PlainTable(INDICATORS_TITLE, headers, rows, ["sweep", "best"], caption)


def _best(row: pd.Series) -> str:
    name = str(row["best_variant"]) or ABSENT
    return name if row["best_fresh"] or not row["best_variant"] else f"{STALE} {name}"


def _epsilons(comparison: Comparison) -> PlainTable:
    rows = [
        [str(row["first"]), str(row["second"]), number(row["epsilon"])]
        for _, row in comparison.epsilons.iterrows()
    ]
    return PlainTable(EPSILONS_TITLE, ["first", "second", "ε"], rows, ["first", "second"], _EPSILONS_CAPTION)


def _tests(tests: pd.DataFrame) -> PlainTable:
    headers = ["first", "second", "what", "difference", "p", "p (Holm)", "note"]
    rows = [
        [
            str(row["first"]), str(row["second"]), _what(row), difference(row["difference"], row["se"]),
            probability(row["p"]), probability(row["p_holm"]), str(row["reason"]),
        ]
        for _, row in tests.iterrows()
    ]  # fmt: skip
    words = ["first", "second", "what", "note"]
    if not any(row[-1] for row in rows):
        headers, rows = headers[:-1], [row[:-1] for row in rows]
    return PlainTable(TESTS_TITLE, headers, rows, words, _TESTS_CAPTION)


def _what(row: pd.Series) -> str:
    if row["what"] != OVERALL:
        return str(row["what"])
    names = dict.fromkeys([str(row["first_variant"]), str(row["second_variant"])])
    return f"{OVERALL} ({', '.join(names)})"


def _importance(importances: Iterator[Importance]) -> Iterator[list[str]]:
    found = list(importances)
    if len({one.reason for one in found}) == 1 and found[0].reason:
        found, targets = found[:1], "all"
    else:
        targets = ""
    for one in found:
        shares = ", ".join(f"{knob} {share:.2f}" for knob, share in one.shares.items())
        yield [
            one.variant, targets or TARGETS[one.target], str(one.trials), number(one.explained),
            one.reason or shares,
        ]  # fmt: skip
