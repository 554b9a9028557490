from __future__ import annotations

import math

import pandas as pd
import pytest

from orchestrator.analysis.equal_compute import COLUMNS, Budget, baseline_budget, equal_compute, exceeds

History = list[tuple[float, float]]
Row = tuple[str, str, str, int, str, str, History]

# Baselines of three epochs, 100 tokens each; their best epochs are the third and the second.
BASELINES: list[Row] = [
    ("b0", "language_model", "baseline", 0, "", "", [(100, 20.0), (200, 14.0), (300, 13.0)]),
    ("b1", "language_model", "baseline", 1, "", "", [(100, 20.0), (200, 13.4), (300, 13.9)]),
]
AGGRESSIVE: list[Row] = [
    ("t", "aggressive", "trial", 0, "a=1", "", [(150, 11.0), (290, 9.0), (300, 8.5), (900, 8.0)]),
    ("r1", "aggressive", "replicate", 1, "a=1", "", [(150, 15.0), (290, 12.0), (310, 9.0), (900, 8.0)]),
    ("r2", "aggressive", "replicate", 2, "a=1", "", [(140, 15.0), (300, 12.6), (320, 9.0), (920, 8.0)]),
]


def history(epochs: History, pretraining: int = 0) -> pd.DataFrame:
    """Epochs of (tokens, NLL + KL); a second costs 10 tokens, the KL is the number of the epoch."""
    return pd.DataFrame(
        [
            {"epoch": float(number), "nll": total - number, "kl": float(number), "nll_plus_kl": total,
             "nll_plus_kl_se": 0.1 * number, "mutual_information": 0.5 * number, "active_units": 2.0 * number,
             "tokens": tokens, "seconds": tokens / 10, "eligible": number > pretraining}
            for number, (tokens, total) in enumerate(epochs, 1)
        ]
    )  # fmt: skip


def runs_of(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"trial_id": name, "variant": variant, "kind": kind, "decoder": "lstm", "seed": seed,
             "knobs": knobs, "failure": failure, "nll_plus_kl": math.nan if failure else 7.0,
             "tokens": epochs[-1][0] if epochs else math.nan, "seconds": 1.0}
            for name, variant, kind, seed, knobs, failure, epochs in rows
        ]
    )  # fmt: skip


def judged(rows: list[Row], budget: Budget | None = None) -> pd.DataFrame:
    runs = runs_of(rows)
    histories = {row[0]: history(row[6]) for row in rows if row[6]}
    return equal_compute(runs, histories, budget or baseline_budget(runs))


def row_of(table: pd.DataFrame, variant: str) -> pd.Series:
    rows = table[table["variant"] == variant]
    assert len(rows) == 1
    return rows.iloc[0]


def test_the_budget_is_the_mean_of_the_baselines_that_finished() -> None:
    failed: Row = ("b2", "language_model", "baseline", 2, "", "diverged", [(100, 20.0)])
    shorter: Row = ("b3", "language_model", "baseline", 3, "", "", [(100, 20.0), (200, 14.0)])
    assert baseline_budget(runs_of(BASELINES + AGGRESSIVE)) == Budget("tokens", 300.0)
    assert baseline_budget(runs_of([*BASELINES, failed])) == Budget("tokens", 300.0)
    assert baseline_budget(runs_of([BASELINES[0], shorter])) == Budget("tokens", 250.0)
    assert baseline_budget(runs_of(BASELINES), "seconds") == Budget("seconds", 1.0)
    for none in (runs_of(AGGRESSIVE), pd.DataFrame(), runs_of(BASELINES).drop(columns="tokens")):
        assert baseline_budget(none) is None


def test_the_best_epochs_within_the_budget_by_hand() -> None:
    table = judged(BASELINES + AGGRESSIVE)
    row, baseline = row_of(table, "aggressive"), row_of(table, "language_model")
    # the replicates can pay for two epochs: 12.0 and 12.6; the baselines' best are 13.0 and 13.4
    assert row["nll_plus_kl"] == pytest.approx(12.3)
    assert (row["kl"], row["nll"]) == (2.0, pytest.approx(10.3))
    assert (row["epoch"], row["epochs"], row["cost"], row["whole_cost"]) == (2.0, 2.0, 295.0, 910.0)
    assert (row["mutual_information"], row["active_units"]) == (1.0, 4.0)
    assert row["nll_plus_kl_se"] == pytest.approx(0.2)
    assert row["gain"] == pytest.approx(13.2 - 12.3)
    # seeds alone: variances 0.08 and 0.18, two runs each
    assert row["gain_se"] == pytest.approx(math.sqrt(0.08 / 2 + 0.18 / 2))
    assert (row["runs"], row["fresh"], row["trial_id"]) == (2, True, "t")
    assert (baseline["nll_plus_kl"], baseline["epoch"], baseline["gain"]) == (13.2, 2.5, 0.0)
    assert (row["budget_in"], row["budget"]) == ("tokens", 300.0)
    assert exceeds(table)


def test_each_budget_has_its_frontier() -> None:
    """At 200 tokens (KL, NLL) is (1, 14) against (2, 11.7), at 300 (2, 10.3) against (2.5, 10.7)."""
    early = judged(BASELINES + AGGRESSIVE, Budget("tokens", 200.0))
    assert row_of(early, "aggressive")["nll"] == 14.0
    assert row_of(early, "language_model")["nll"] == pytest.approx(11.7)
    assert early["on_frontier"].all()
    late = judged(BASELINES + AGGRESSIVE)
    assert dict(zip(late["variant"], late["on_frontier"], strict=True)) == {
        "aggressive": True,
        "language_model": False,
    }


def test_seconds_are_another_budget() -> None:
    row = row_of(judged(BASELINES + AGGRESSIVE, Budget("seconds", 31.0)), "aggressive")
    assert row["nll_plus_kl"] == pytest.approx((9.0 + 12.6) / 2)  # r1 can pay for its third epoch
    assert (row["cost"], row["whole_cost"]) == (30.5, 91.0)


def test_a_run_whose_first_epoch_costs_too_much_is_listed() -> None:
    dear: list[Row] = [
        ("r1", "vq", "replicate", 1, "v=1", "", [(301, 9.0), (400, 8.0)]),
        ("r2", "vq", "replicate", 2, "v=1", "", [(300, 9.0), (400, 8.0)]),
    ]
    table = judged([*BASELINES, *dear])
    row = row_of(table, "vq")
    assert (row["over_budget"], row["failed"], row["runs"]) == (1, 0, 2)
    assert row[["nll", "kl", "nll_plus_kl", "gain", "cost"]].isna().all()
    assert (row["epochs"], row["whole_cost"]) == (0.5, 400.0)
    assert not row["on_frontier"]
    assert list(table["variant"]) == ["language_model", "vq"]


def test_a_failure_counts_unless_it_came_beyond_the_budget() -> None:
    def failing(epochs: History) -> pd.Series:
        return row_of(judged([*BASELINES, ("v", "vanilla", "trial", 0, "", "diverged", epochs)]), "vanilla")

    assert failing([(100, 12.0), (301, 9.0)])["nll_plus_kl"] == 12.0
    within = failing([(100, 12.0), (300, 9.0)])
    assert (within["failed"], within["over_budget"], within["epochs"]) == (1, 0, 2)
    assert math.isnan(within["nll_plus_kl"])
    at_once = failing([])
    assert (at_once["failed"], at_once["over_budget"]) == (1, 0)
    dear = failing([(301, 9.0)])
    assert (dear["failed"], dear["over_budget"]) == (0, 1)


def test_a_tenth_over_the_budget_is_much() -> None:
    cheap: Row = ("v", "vanilla", "trial", 0, "", "", [(100, 12.0), (330, 11.0)])
    assert not exceeds(judged([*BASELINES, cheap]))
    assert exceeds(judged([*BASELINES, (*cheap[:6], [(100, 12.0), (331, 11.0)])]))
    assert not exceeds(judged([]))


@pytest.mark.parametrize("rows", [[], AGGRESSIVE])
def test_nothing_without_a_budget(rows: list[Row]) -> None:
    table = judged(rows)
    assert table.empty
    assert list(table.columns)[: len(COLUMNS)] == list(COLUMNS)


def test_epochs_of_pretraining_are_paid_for_but_never_the_best() -> None:
    rows = [*BASELINES, ("p0", "pretrained", "trial", 0, "p=1", "", [(100, 5.0), (200, 9.0), (300, 8.5)])]
    runs = runs_of(rows)
    histories = {row[0]: history(row[6], pretraining=1 if row[1] == "pretrained" else 0) for row in rows}
    for amount, best in ((300, 8.5), (250, 9.0)):
        row = row_of(equal_compute(runs, histories, Budget("tokens", amount)), "pretrained")
        assert row["nll_plus_kl"] == best
    row = row_of(equal_compute(runs, histories, Budget("tokens", 150)), "pretrained")
    assert math.isnan(row["nll_plus_kl"])
    assert row["over_budget"] == 1
