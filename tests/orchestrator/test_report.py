"""`python -m orchestrator.report` on real stores: every format, against the report of the same results."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from optuna.distributions import IntDistribution
from typer.testing import CliRunner, Result

from orchestrator.report import app
from orchestrator.reports.sweep_report import Report
from tests.orchestrator.comparison_sweeps import sweep_results
from tests.orchestrator.database import copy_database, sqlite_uri
from tests.orchestrator.stored_sweeps import store
from tests.paths import ROOT

OPTIONS = ["--format", "--output", "--tracking-uri", "--all-rows"]
FLOOR = 10.25


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")  # put back after a run has set it
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture(scope="module")
def stored(mlflow_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of `two`."""
    folder = tmp_path_factory.mktemp("two")
    copy_database(mlflow_database, folder / "mlflow.db")
    space = {"cyclical": {"cycles": IntDistribution(1, 8)}}
    for number, (name, best) in enumerate({"a": 11.5, "b": 12.5}.items()):
        results = sweep_results(13.0, best, noise=0.05, vanilla=True, seed=number)
        store(
            sqlite_uri(folder), name, results, entropy_floor=FLOOR, distributions=space, start_ms=1 + number
        )
    return folder / "mlflow.db"


@pytest.fixture
def two(stored: Path, folder: Path) -> Path:
    """Sweeps "a" and "b", the better one first; neither has a folder."""
    copy_database(stored, folder / "mlflow.db")
    return folder


def report(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def direct(seed: int, best: float, name: str) -> Report:
    return Report.of(f"small: {name}", sweep_results(13.0, best, noise=0.05, vanilla=True, seed=seed), FLOOR)


def test_one_sweep_as_tables(two: Path) -> None:
    done = report("a")
    assert (done.exit_code, done.stderr) == (0, "")
    from rich.console import Console

    console = Console(file=io.StringIO(), width=100)
    direct(0, 11.5, "a").show(console)
    assert isinstance(console.file, io.StringIO)
    assert done.stdout.startswith(console.file.getvalue())  # the sweep's own end
    assert "too few trials (1 of 10)" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_two_sweeps_as_tables(two: Path) -> None:
    done = report("a", "b")
    assert done.exit_code == 0
    for text in ("small: a", "small: b", "Frontiers", "What a frontier lacks", "best of all (cyclical)"):
        assert text in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_markdown(two: Path) -> None:
    done = report("a", "--format", "md")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"# small: a\n\n{direct(0, 11.5, 'a').markdown()}")
    assert "## Which knobs matter" in done.stdout
    both = report("a", "b", "--format", "md")
    assert both.stdout.startswith(done.stdout.rstrip("\n"))
    assert "| first | second | ε |\n| --- | --- | ---: |\n| a | b |" in both.stdout


def test_csv(two: Path) -> None:
    done = report("b", "a", "--format", "csv")
    table = pd.read_csv(io.StringIO(done.stdout))
    assert list(table["sweep"]) == ["b"] * 3 + ["a"] * 3
    expected = pd.concat([direct(1, 12.5, "b").configurations, direct(0, 11.5, "a").configurations])
    expected.to_csv(two / "expected.csv", index=False)
    expected = pd.read_csv(two / "expected.csv")
    pd.testing.assert_frame_equal(table.drop(columns="sweep"), expected, check_exact=True)


def test_json(two: Path) -> None:
    done = report("a", "b", "--format", "json")
    data = json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"no JSON: {name}"))
    first = direct(0, 11.5, "a")
    assert [sweep["name"] for sweep in data["sweeps"]] == ["a", "b"]
    sweep = data["sweeps"][0]
    assert sweep["entropy_floor"] == FLOOR
    assert sweep["metrics"] == first.metrics()
    for row, (_, own) in zip(sweep["configurations"], first.configurations.iterrows(), strict=True):
        for name, value in own.items():
            missing = isinstance(value, float) and math.isnan(value)
            assert row[str(name)] == (None if missing else value)
    assert isinstance(sweep["configurations"][0]["on_frontier"], bool)
    assert isinstance(sweep["configurations"][0]["runs"], int)
    assert {trial["trial_id"] for trial in sweep["trials"]} == set(first.runs["trial_id"])
    comparison = data["comparison"]
    assert comparison["reference"]["kl"] == comparison["reference"]["nll"]
    assert len(comparison["epsilons"]) == 2
    assert {corner["surface"] for corner in comparison["attainment"]} == {"best", "median", "worst"}
    assert comparison["tests"][0]["p"] < 0.01
    assert json.loads(report("a", "--format", "json").stdout)["comparison"] is None


def test_html(two: Path) -> None:
    done = report("a", "--format", "html")
    assert (done.exit_code, done.stdout) == (0, "report-a.html\n")
    page = (two / "report-a.html").read_text()
    assert page.count("<!DOCTYPE html>") == 1
    assert [f'id="{name}"' in page for name in ("frontier", "frontiers")] == [True, False]
    assert "a: configurations" not in page
    both = report("a", "b", "--format", "html", "--output", "both.html")
    assert both.stdout == "both.html\n"
    page = (two / "both.html").read_text()
    assert [f'id="{name}"' in page for name in ("frontiers", "attainment")] == [True, True]
    assert "Best configurations against each other" in page
    assert 'src="http' not in page  # works without internet


def test_a_table_in_a_file(two: Path) -> None:
    done = report("a", "--output", "a.txt")
    assert done.stdout == "a.txt\n"
    assert "• cyclical" in (two / "a.txt").read_text()


def test_all_rows(two: Path) -> None:
    results = sweep_results(13.0, 11.5)
    worse = sweep_results(13.0, 12.0)[3]
    worse.plan.knobs["cycles"] = 7  # type: ignore[index]
    store(sqlite_uri(two), "more", [*results, type(worse)("t9", worse.plan, worse.final, {}, worse.losses_N)])
    assert "cycles=7" not in report("more").stdout
    assert "cycles=7" in report("more", "--all-rows").stdout
    assert "cycles=7" in report("more", "--all-rows", "--format", "md").stdout


def test_what_is_missing_is_said_beside_the_figures(two: Path) -> None:
    store(sqlite_uri(two), "short", sweep_results(13.0, 11.5), status="KILLED", with_losses=False)
    done = report("short", "--format", "csv")
    assert done.exit_code == 0
    assert done.stderr.splitlines() == [
        "note: short: the sweep is KILLED: 7 of 7 trials have ended",
        "note: short: without losses.npz the gains have no standard errors",
    ]
    assert len(pd.read_csv(io.StringIO(done.stdout))) == 2


@pytest.mark.parametrize("name", ["table", "html", "md", "csv", "json"])
def test_a_sweep_without_results(folder: Path, name: str) -> None:
    for sweep in ("nothing", "more-nothing"):
        store(sqlite_uri(folder), sweep, [])
    assert report("nothing", "--format", name).exit_code == 0
    assert report("nothing", "more-nothing", "--format", name).exit_code == 0


# -- errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["c"], "error: no sweep 'c' in sqlite:///{folder}/mlflow.db; known: b, a"),
        (["a", "a"], "error: SWEEP must name different sweeps, got 'a' twice"),
        (
            ["a", "--output", "no/such.md"],
            "error: --output must be a file in a folder that exists, got no folder no: no/such.md",
        ),
        (["a", "--output", "."], "error: --output must be a file in a folder that exists, got a folder: ."),
        (
            ["a", "--tracking-uri", "sqlite:///other.db"],
            "error: the tracking URI must be that of a database that exists, got no file {folder}/other.db",
        ),
        (
            ["a", "--tracking-uri", "ftp://x"],
            "error: --tracking-uri: tracking_uri must be an address such as sqlite:///mlflow.db or "
            "http://127.0.0.1:5000, got 'ftp://x'",
        ),
    ],
)
def test_errors_of_the_user(two: Path, arguments: list[str], message: str) -> None:
    done = report(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == message.format(folder=two) + "\n"
    assert not (two / "other.db").exists()


def test_the_environment_names_the_store(two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (two / "elsewhere").mkdir()
    monkeypatch.chdir(two / "elsewhere")
    assert report("a").exit_code == 2
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_uri(two))
    assert report("a", "--format", "csv").exit_code == 0


@pytest.mark.parametrize("columns", [80, 120])
def test_help_fits_the_terminal(columns: int) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "orchestrator.report", "--help"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": str(columns)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    described = [line.split()[1] for line in lines if line.startswith("│ --")]
    assert described == [*OPTIONS, "--help"]
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"mlflow", "torch", "pandas", "plotly", "ray"}
