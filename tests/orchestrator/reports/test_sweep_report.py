from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from orchestrator.analysis.results import ERROR, TrialResult
from orchestrator.reports.sweep_report import Report
from orchestrator.search.trial_plan import Kind, TrialPlan
from tests.orchestrator.sweep_results import small_sweep

FILES = (
    *("frontier.png", "frontier.html", "frontier.csv", "frontier.md"),
    *(
        "curves.png",
        "equal_compute.png",
        "equal_compute.csv",
        "trials.csv",
        "frontier_note.png",
    ),
)
SENTENCES = 20


def result(
    trial_id: str, variant: str, kind: Kind, seed: int, total: float, kl: float, **knobs: Any
) -> TrialResult:
    """A finished trial whose sentences all lose the same; NaN stands for one that diverged."""
    plan = TrialPlan(variant, kind, knobs, seed, tuple(knobs))
    if math.isnan(total):
        return TrialResult(trial_id, plan, {}, {}, failure="diverged")
    figures = {"nll": total - kl, "kl": kl, "nll_plus_kl": total, "active_units": round(2 * kl)}
    final = {f"test/{name}": value for name, value in figures.items()}
    return TrialResult(trial_id, plan, final, {"seconds": 1.0}, np.full(SENTENCES, total, np.float32))


def results() -> list[TrialResult]:
    """Baselines at 13.6 and 13.7; cyclical's best, replicated, at about 12; one diverged, one broke, one
    was interrupted."""
    return [
        result("b0", "language_model", "baseline", 0, 13.6, 0.0),
        result("b1", "language_model", "baseline", 1, 13.7, 0.0),
        result("v0", "vanilla", "trial", 0, 13.8, 0.01),
        result("v1", "vanilla", "trial", 1, 13.9, 0.01),
        result("c0", "cyclical", "trial", 0, 12.0, 2.0, cycles=2),
        result("c1", "cyclical", "trial", 0, math.nan, 0.0, cycles=9),
        result("r0", "cyclical", "replicate", 1, 12.1, 2.0, cycles=2),
        result("r1", "cyclical", "replicate", 2, 12.2, 2.0, cycles=2),
        TrialResult(
            "e0", TrialPlan("cyclical", "replicate", {"cycles": 2}, 3, ("cycles",)), {}, {}, None, ERROR
        ),
        TrialResult("i0", TrialPlan("cyclical", "trial", {"cycles": 7}, 0, ("cycles",)), {}, {}),
    ]


@pytest.fixture(scope="module")
def report() -> Report:
    return Report.of("a sweep", results(), 10.5)


def test_trials_that_have_ended_are_reported(report: Report) -> None:
    assert list(report.runs["trial_id"]) == ["b0", "b1", "v0", "v1", "c0", "c1", "r0", "r1", "e0"]
    found = {(row.variant, row.knobs): row for row in report.configurations.itertuples()}
    assert set(found) == {
        ("language_model", ""),
        ("vanilla", ""),
        ("cyclical", "cycles=2"),
        ("cyclical", "cycles=9"),
    }
    best = found["cyclical", "cycles=2"]
    assert (best.runs, best.failed) == (2, 0)  # a broken machine is no failure of the training
    assert best.nll_plus_kl == pytest.approx(12.15, abs=1e-5)
    assert best.gain == pytest.approx(13.65 - 12.15, abs=1e-5)
    assert found["cyclical", "cycles=9"].failed == 1


def test_the_files(report: Report, tmp_path: Path) -> None:
    paths = report.write(tmp_path)
    assert [path.name for path in paths] == list(FILES)
    assert all(path.stat().st_size > 100 for path in paths)
    trials = pd.read_csv(tmp_path / "trials.csv", keep_default_na=False)
    assert list(trials["failure"]) == ["", "", "", "", "", "diverged", "", "", "error"]
    assert len(pd.read_csv(tmp_path / "frontier.csv")) == len(report.configurations)
    assert "cyclical" in (tmp_path / "frontier.md").read_text()


def test_what_is_shown(report: Report) -> None:
    console = Console(file=io.StringIO(), width=100)
    report.show(console)
    assert isinstance(console.file, io.StringIO)
    text = " ".join(console.file.getvalue().split())
    assert "• cyclical (cycles=2) is not told from the baseline" in text
    assert "vanilla" in text
    assert (
        "• cyclical (cycles=2) is not told from the baseline" not in report.markdown()
    )  # a list of Markdown's own
    assert "- cyclical (cycles=2) is not told from the baseline" in report.markdown()


def test_equal_compute_is_shown_where_it_differs(tmp_path: Path) -> None:
    def shown(results: list[TrialResult]) -> tuple[str, Report]:
        report, console = Report.of("a sweep", results, None), Console(file=io.StringIO(), width=100)
        report.show(console)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue(), report

    text, report = shown(small_sweep())
    assert "At equal compute: 400 tokens each" in text
    report.write(tmp_path)
    table = pd.read_csv(tmp_path / "equal_compute.csv")
    assert list(table["budget_in"]) == ["tokens"] * 5 + ["seconds"] * 5
    assert "over the budget" in (tmp_path / "frontier.md").read_text()
    page = (tmp_path / "frontier.html").read_text()
    assert [name in page for name in ('id="frontier"', 'id="cost"', 'id="curves"')] == [True] * 3
    usual = [result for result in small_sweep() if result.plan.variant != "aggressive"]
    text, report = shown(usual)
    assert "equal compute" not in text
    assert "## At equal compute: 400 tokens each" in report.markdown()


def test_figures_of_the_whole(report: Report) -> None:
    metrics = report.metrics()
    assert metrics["trials"] == 9.0
    assert metrics["hypervolume"] > 0
    gains = {
        name: value
        for name, value in metrics.items()
        if "gain" in name.split("/")[:2] or "gain_se" in name.split("/")[:2]
    }
    table = report.configurations.set_index(["variant", "knobs"])
    best, plain = table.loc["cyclical", "cycles=2"], table.loc["vanilla", ""]
    assert gains == {
        "gain": best["gain"],
        "gain_se": best["gain_se"],
        "variant/gain/cyclical": best["gain"],
        "variant/gain_se/cyclical": best["gain_se"],
        "variant/gain/vanilla": plain["gain"],
        "variant/gain_se/vanilla": plain["gain_se"],
    }
    assert gains["gain"] == pytest.approx(1.5, abs=1e-5)
    assert all(math.isfinite(value) for value in metrics.values())


def test_finished_trials_and_whether_they_are_on_the_frontier(report: Report) -> None:
    found = {result.trial_id: (result.collapsed, on_frontier) for result, on_frontier in report.found()}
    assert set(found) == {"b0", "b1", "v0", "v1", "c0", "r0", "r1"}
    assert {name for name, (collapsed, _) in found.items() if collapsed} == {"b0", "b1", "v0", "v1"}
    assert {"c0", "r0", "r1", "b0", "b1"} <= {name for name, (_, on_frontier) in found.items() if on_frontier}


@pytest.mark.parametrize("left", [[], [5], [8, 9]])
def test_a_report_of_little(left: list[int], tmp_path: Path) -> None:
    report = Report.of("a sweep", [results()[index] for index in left], None)
    report.show(Console(file=io.StringIO()))
    assert list(report.found()) == []
    assert report.metrics()["hypervolume"] == 0.0
    assert report.markdown()
    assert len(report.write(tmp_path)) == len(FILES)
