"""Whole sweeps against a real MLflow server that is killed: every point arrives once, every run ends."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from orchestrator.tracking.delivery.outbox import FILE, Outbox
from tests.orchestrator.tracking_fixtures import Reader, free_port, running
from tests.sweep_process import Sweep, read_until, reader, trial_is_done

EPOCHS = 6
ARGUMENTS = (
    *("--variants", "vanilla,cyclical", "--trials", "2", "--epochs", str(EPOCHS), "--baseline-seeds", "2"),
    *("--replicates", "2", "--max-replicates", "2", "--kl-floor", "0", "--max-sentences", "500"),
    *("--name", "s"),
)
TRIALS = 8
OF_EACH_EPOCH = {
    "nll", "kl", "nll_plus_kl", "perplexity", "mutual_information", "active_units", "kl_weight",
    "train/nll", "train/kl", "learning_rate", "seconds", "tokens", "optimizer_steps", "gpu_seconds",
}  # fmt: skip


@contextmanager
def server(folder: Path, port: int) -> Iterator[None]:
    """Ended by SIGKILL."""
    arguments = ("--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination")
    with running("server", "--workers", "1", *arguments, str(folder / "files"), folder=folder, port=port):
        yield


def assert_everything_once(mlflow: Reader, sweep: Sweep, statuses: set[str]) -> None:
    """Each epoch of each metric of each trial is there exactly once, and each run has ended."""
    runs = mlflow.trials()
    assert len(runs) == TRIALS
    trials = sweep.trials("s").set_index("trial_id")
    assert set(runs) == set(trials.index)
    epochs = list(range(1, EPOCHS + 1))
    for trial_id, run in runs.items():
        assert run.info.status in statuses
        assert set(run.data.metrics) >= OF_EACH_EPOCH
        for key in run.data.metrics:
            steps = [step for step, _ in mlflow.history(run, key)]
            prefix = key.partition("/")[0]
            if prefix in ("test", "best", "best_epoch", "still_to_gain"):
                examined = key.startswith("test/iw_") and EPOCHS + 1 in steps
                assert steps == ([EPOCHS, EPOCHS + 1] if examined else [EPOCHS]), key
            else:
                assert steps == ([EPOCHS + 1] if prefix == "probe" else epochs), key
        assert run.data.metrics["test/nll"] == pytest.approx(float(trials.loc[trial_id, "nll"]), rel=1e-12)
        assert run.data.params["variant"] == trials.loc[trial_id, "variant"]
        assert run.data.tags["frontier"] in ("true", "false")
    assert mlflow.parent().info.status in statuses
    assert {"frontier.html", "sweep.yaml", "losses.npz"} <= set(mlflow.artifacts())


def assert_every_model_once(mlflow: Reader) -> None:
    versions = mlflow.client.search_model_versions("name = 's'")
    run_ids = [run.info.run_id for run in mlflow.trials().values()]
    assert sorted(version.run_id for version in versions) == sorted(run_ids)
    assert {version.status for version in versions} == {"READY"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_server_that_is_killed_in_the_middle_and_comes_back(tmp_path: Path) -> None:
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    sweep = Sweep(tmp_path)
    with ExitStack() as stack:
        with server(tmp_path, port):
            process = stack.enter_context(sweep.started(*ARGUMENTS, "--models", "all", "--tracking-uri", uri))
            read_until(process, trial_is_done(2))
        read_until(process, trial_is_done(4))  # nobody is there
        with server(tmp_path, port):
            output, errors = process.communicate(timeout=600)
            assert process.returncode == 0
            assert "warning" not in output
            assert re.fullmatch(
                rf"(cannot log to MLflow at {uri}: .*; it waits in the outbox and is tried again\n){{1,2}}",
                errors,
            )
            assert_everything_once(Reader(uri), sweep, {"FINISHED"})
            assert_every_model_once(Reader(uri))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_server_that_stays_away_is_told_later(tmp_path: Path) -> None:
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    sweep = Sweep(tmp_path)
    with ExitStack() as stack:
        with server(tmp_path, port):
            process = stack.enter_context(
                sweep.started(*ARGUMENTS, "--models", "none", "--tracking-uri", uri)
            )
            read_until(process, trial_is_done(2))
        output, _ = process.communicate(timeout=600)
    assert process.returncode == 1  # something was not delivered
    text = " ".join(output.split())
    match = re.search(r"; (\d+) points and (\d+) other entries wait: MLflow at \S+: Connection refused", text)
    assert match, text
    assert text.count("nothing arrives at MLflow: this waits 60 s at most; Ctrl-C ends that") == 1
    assert int(match[1]) > len(OF_EACH_EPOCH) * EPOCHS
    assert re.search(r"deliver them with: \S*python -m orchestrator\.sweep --replay-outbox s$", output, re.M)
    alone = sweep.run("--replay-outbox", "s")
    assert alone.returncode == 1
    with server(tmp_path, port):
        told = sweep.run("--replay-outbox", "s")
        assert (told.returncode, told.stderr) == (0, "")
        assert told.stdout.endswith(f"metric points delivered; {uri} has all of the sweep\n")
        assert int(told.stdout.split()[0].replace(",", "")) >= int(match[1])
        assert_everything_once(Reader(uri), sweep, {"FINISHED"})
        again = sweep.run("--replay-outbox", "s")
        assert again.stdout == f"0 metric points delivered; {uri} has all of the sweep\n"
        assert_everything_once(Reader(uri), sweep, {"FINISHED"})
    elsewhere = f"sqlite:///{tmp_path}/elsewhere.db"
    assert sweep.run("--replay-outbox", "s", "--tracking-uri", elsewhere).returncode == 0
    assert_everything_once(Reader(elsewhere), sweep, {"FINISHED"})


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_runs_of_a_killed_sweep_end_with_a_replay(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    with sweep.started(*ARGUMENTS) as process:
        read_until(process, trial_is_done(3))
        busy = sweep.run("--replay-outbox", "s")
        assert busy.returncode == 2
        assert "a sweep must run once at a time" in busy.stderr
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    mlflow = reader(sweep)
    assert mlflow.parent().info.status == "RUNNING"
    done = sweep.run("--replay-outbox", "s")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    statuses = [run.info.status for run in mlflow.trials().values()]
    assert statuses.count("FINISHED") >= 3
    assert set(statuses) <= {"FINISHED", "KILLED"}
    assert mlflow.parent().info.status == "KILLED"
    outbox = Outbox(tmp_path / "sweeps" / "s")
    written = sum(entry.kind == "metrics" for entry in outbox.window(0).entries)
    steps = {
        (trial_id, step)
        for trial_id, run in mlflow.trials().items()
        for step, _ in mlflow.history(run, "train/nll")
    }
    assert len(steps) == written > 0
    assert (tmp_path / "sweeps" / "s" / FILE).is_file()

    resumed = sweep.run("--resume", "s")
    assert (resumed.returncode, resumed.stderr) == (0, ""), resumed.stdout
    assert mlflow.parent().info.status == "FINISHED"


@pytest.mark.slow
def test_a_sweep_that_is_unknown_or_has_no_outbox(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    unknown = sweep.run("--replay-outbox", "s")
    assert unknown.returncode == 2
    assert unknown.stderr.startswith("error: --replay-outbox: no sweep 's' in ")
    folder = tmp_path / "sweeps" / "s"
    folder.mkdir(parents=True)
    (folder / "sweep.yaml").write_text("trials: 2\n")
    none = sweep.run("--replay-outbox", "s")
    assert (none.returncode, none.stdout) == (2, "")
    assert "must hold outbox.jsonl, got none" in none.stderr
    both = sweep.run("--replay-outbox", "s", "--resume", "s")
    assert both.stderr == "error: --replay-outbox: must be given without --resume, got both\n"
    more = sweep.run("--replay-outbox", "s", "--trials", "3")
    assert more.stderr == (
        "error: --replay-outbox: the sweep's saved spec holds, so only --storage, --tracking-uri may change,"
        " got --trials\n"
    )
