"""`python -m orchestrator.reproduce`: trials of a real small sweep, trained again to the last digit."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.entities import Run
from typer.testing import CliRunner, Result

from orchestrator.reproduce import app
from tests import sweep_process
from tests.orchestrator.database import sqlite_uri
from tests.orchestrator.tracking_fixtures import free_port
from tests.paths import ROOT

Small = tuple[sweep_process.Sweep, list[str]]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def in_process(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.reproduce", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def trials_of(small: Small) -> dict[str, Run]:
    return sweep_process.reader(small[0]).trials()


def one_of(small: Small, kind: str, status: str = "FINISHED") -> tuple[str, Run]:
    """The first trial of that kind, by its id."""
    found = sorted(
        (trial_id, run)
        for trial_id, run in trials_of(small).items()
        if (run.data.tags["orchestrator.kind"], run.info.status) == (kind, status)
    )
    return found[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["baseline", "trial", "replicate"])
def test_a_trial_again_to_the_last_digit(small: Small, kind: str) -> None:
    sweep, _ = small
    trial_id, run = one_of(small, kind)
    # One is named by its run, the others by sweep and trial: both ways lead there.
    named = run.info.run_id if kind == "trial" else f"s/{trial_id}"
    done = in_process(sweep.folder, named, "--run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "error" not in done.stderr
    command, title, *_ = lines = done.stdout.splitlines()
    assert " -m trainables.train --variant " in command
    assert title.startswith(run.data.params["variant"])
    rows = dict(line.split(maxsplit=1) for line in lines[lines.index("") + 2 : -1])
    ours = {
        key
        for key in run.data.metrics
        if not key.startswith("probe/") and key not in ("seconds", "gpu_seconds")
    }
    assert rows.keys() == ours
    assert {"nll", "train/kl", "tokens", "best_epoch", "best/nll", "test/nll", "test/iw_nll"} <= ours
    assert all(row.endswith("  yes") for row in rows.values())
    recorded, now, _ = rows["test/nll"].split()
    assert float(recorded) == float(now) == run.data.metrics["test/nll"]
    assert lines[-1] == f"all {len(ours)} metrics agree to the last digit, in each of 2 epochs"


@pytest.mark.slow
def test_the_command_alone_for_a_shell(small: Small) -> None:
    trial_id, run = one_of(small, "replicate")
    done = in_process(small[0].folder, f"s/{trial_id}")
    assert done.returncode == 0
    (command,) = done.stdout.splitlines()
    assert all(line.startswith("note: ") for line in done.stderr.splitlines())
    words = shlex.split(command)
    assert words[words.index("--seed") + 1] == run.data.params["seed"]
    assert words[words.index("--corpus-seed") + 1] == "0"
    assert words[words.index("--corpus") + 1] == str(small[0].folder / "text.txt")
    trained = subprocess.run(
        ["sh", "-c", shlex.join([sys.executable, *words[1:]])],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert (trained.returncode, trained.stderr) == (0, "")
    assert f"NLL {run.data.metrics['test/nll']:.3f}" in trained.stdout


@pytest.mark.slow
def test_a_trial_that_diverged_diverges_again(small: Small) -> None:
    trial_id, run = one_of(small, "trial", "FAILED")
    done = in_process(small[0].folder, f"s/{trial_id}", "--run")
    assert "note: the trial failed: diverged" in done.stderr.splitlines()
    assert "diverged: loss not finite or beyond hope" in done.stderr
    assert "nll" not in run.data.metrics  # in its first epoch: there is nothing to compare
    assert done.stdout.splitlines()[-1] == "it diverged again, after 0 whole epochs"
    assert done.returncode == 0


@pytest.mark.slow
def test_another_text_is_refused_before_anything_is_trained(small: Small) -> None:
    text = small[0].folder / "text.txt"
    before = text.read_text()
    try:
        text.write_text(before.replace("dog", "wolf"))
        done = in_process(small[0].folder, f"s/{one_of(small, 'trial')[0]}", "--run")
    finally:
        text.write_text(before)
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 1  # the command
    last = done.stderr.splitlines()[-1]
    digest = sweep_process.reader(small[0]).parent().data.params["digest"]
    assert last.startswith(
        f"trainables.train: --corpus-digest: the corpus must be as it was, {digest}, got another text"
    )
    assert str(text) in last


@pytest.mark.slow
def test_figures_that_differ_end_with_1(small: Small, tmp_path: Path) -> None:
    """In a copy of the database, where somebody has changed one digit."""
    import sqlite3
    from contextlib import closing

    trial_id, run = one_of(small, "trial")
    with (
        closing(sqlite3.connect(small[0].folder / "mlflow.db")) as source,
        closing(sqlite3.connect(tmp_path / "mlflow.db")) as copy,
    ):
        source.backup(copy)
        where = "run_uuid = ? AND key = 'kl' AND step = 1"
        (value,) = copy.execute(f"SELECT value FROM metrics WHERE {where}", (run.info.run_id,)).fetchone()
        copy.execute(f"UPDATE metrics SET value = ? WHERE {where}", (value * (1 + 2**-52), run.info.run_id))
        copy.commit()
    done = in_process(small[0].folder, f"s/{trial_id}", "--run", "--tracking-uri", sqlite_uri(tmp_path))
    assert done.returncode == 1, done.stdout + done.stderr
    *_, last = lines = done.stdout.splitlines()
    assert last.startswith("1 of ")
    (row,) = [line for line in lines if line.startswith("kl ")]
    assert row.endswith("no, at epoch 1")
    _, recorded, now, *_ = row.split()
    assert float(now) == value != float(recorded)


# -- mistakes ----------------------------------------------------------------------------------------


def test_what_is_no_trial(small: Small) -> None:
    uri = sqlite_uri(small[0].folder)
    parent = sweep_process.reader(small[0]).parent().info.run_id
    trial_id = sorted(trials_of(small))[0]
    for run, message in (
        ("0" * 32, f"RUN must be a run that MLflow knows, got '{'0' * 32}'"),
        ("xyz", "RUN must be the id of an MLflow run or SWEEP/TRIALID, got 'xyz'"),
        ("t/1", "RUN must be of a sweep that MLflow knows, got 't'"),
        (f"s/{trial_id}x", f"a trial of the sweep 's', got '{trial_id}x'; did you mean 's/{trial_id}'?"),
        (parent, "RUN must be a trial's, got the run of the sweep 's'; known: s/"),
        ('it\'s "s"/1', "RUN: must not contain both kinds of quotes"),
    ):
        done = invoke(run, "--tracking-uri", uri)
        assert (done.exit_code, done.stdout) == (2, ""), run
        assert done.stderr.startswith("error: ")
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke("s/1")
    assert done.exit_code == 2
    assert done.stderr == (
        f"error: the tracking URI must be that of a database that exists, got no file {tmp_path}/mlflow.db\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer() -> None:
    done = invoke("s/1", "--tracking-uri", f"http://me:secret@127.0.0.1:{free_port()}")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "error: the tracking URI must be that of an MLflow that answers, got http://127.0.0.1:"
    )
    assert "secret" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom orchestrator.reproduce import app\ntry: app(['--help'])\nexcept SystemExit: pass\n"
        "print(*sorted({'ray', 'mlflow', 'torch', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == ""
    assert "SWEEP/TRIALID" in done.stdout
