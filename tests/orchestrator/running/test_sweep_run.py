"""Whole sweeps through the command, with Ray and MLflow as users have them."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from orchestrator.cluster.ray_session import worth_saying
from orchestrator.spec.sweep_spec import SweepSpec
from tests.sweep_process import (
    FINISHED_LINE,
    Sweep,
    assert_complete,
    kill_one_trial,
    read_until,
    reader,
    trial_is_done,
    write_corpus,
)

RUN = {"language_model": 2, "vanilla": 2, "cyclical": 4, "annealed": 2}


def test_a_line_for_each_finished_trial(small: tuple[Sweep, list[str]]) -> None:
    _, lines = small
    assert lines[0] == (
        "sweep s: 12 trials of 2 epochs (language_model 2, vanilla 2, cyclical 4, annealed 4)"
    )
    matches = [match for line in lines if (match := FINISHED_LINE.match(line))]
    assert [match[1] for match in matches] == [str(number) for number in range(1, 11)]
    assert {match[2] for match in matches[:6]} == {"12"}
    assert matches[-1][2] == "10"  # as annealed has no best that could be run again
    assert Counter(match[3] for match in matches) == {"baseline": 2, "trial": 6, "replicate": 2}
    failed = [match[4] for match in matches if match[5] == "failed (diverged)"]
    assert [description.split()[0] for description in failed] == ["annealed"] * 2


def test_it_ends_with_table_and_ways_to_go_on(small: tuple[Sweep, list[str]]) -> None:
    _, lines = small
    text = "\n".join(lines[lines.index(next(line for line in lines if line.startswith("[10/"))) :])
    assert "vs baseline" in text
    assert re.search(r"annealed \(.*\) failed in 1 of 1 run", " ".join(text.split()))
    assert "sweeps/s/frontier.png" in text
    assert re.search(r"^next: .*mlflow ui", text, re.M)


def test_the_files_of_a_sweep(small: tuple[Sweep, list[str]]) -> None:
    sweep, _ = small
    folder = sweep.folder / "sweeps" / "s"
    trials = sweep.trials("s")
    assert Counter(trials["variant"]) == RUN
    assert Counter(trials["failure"]) == {"": 8, "diverged": 2}
    assert trials[trials["failure"] == ""]["nll_plus_kl"].astype(float).between(0, 100).all()
    assert set(trials[trials["failure"] == "diverged"]["nll"]) == {""}
    replicates = trials[trials["kind"] == "replicate"]
    assert sorted(replicates["seed"]) == [1, 2]
    assert replicates["knobs"].nunique() == 1
    assert set(replicates["knobs"]) <= set(trials[trials["kind"] == "trial"]["knobs"])
    frontier = pd.read_csv(folder / "frontier.csv", keep_default_na=False)
    assert frontier["runs"].sum() + 1 == len(trials)  # of cyclical's best its two replicates only
    assert len(frontier) == trials.groupby(["variant", "knobs"]).ngroups
    assert (folder / "frontier.png").read_bytes().startswith(b"\x89PNG")
    for name in ("curves", "equal_compute"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert set(trials[trials["failure"] == ""]["gpu_seconds"].astype(float)) == {0.0}
    equal = pd.read_csv(folder / "equal_compute.csv", keep_default_na=False)
    equal = equal[equal["budget_in"] == "tokens"]
    assert len(equal) == len(frontier)
    assert set(equal["budget"]) == set(trials[trials["kind"] == "baseline"]["tokens"].astype(float))
    finished = equal[equal["variant"] != "annealed"]  # whose trials diverge
    assert set(finished["epochs"].astype(float)) == {2.0}
    assert finished["nll_plus_kl"].astype(float).between(0, 100).all()
    html = (folder / "frontier.html").read_text()
    assert 'id="curves"' in html
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)\s*=", html)
    markdown = (folder / "frontier.md").read_text().splitlines()
    assert sum(line.startswith("| ") for line in markdown) >= 2
    spec = SweepSpec.load(folder / "sweep.yaml")
    assert (spec.trials, spec.epochs.most, str(spec.corpus)) == (2, 2, f"{sweep.folder}/text.txt")


def test_the_runs_in_mlflow(small: tuple[Sweep, list[str]]) -> None:
    sweep, _ = small
    mlflow = reader(sweep)
    parent, runs = mlflow.parent(), mlflow.trials()
    trials = sweep.trials("s").set_index("trial_id")
    assert set(runs) == set(trials.index)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["trials"] == 10
    assert {"frontier.png", "frontier.html", "curves.png", "equal_compute.csv", "sweep.yaml"} <= set(
        mlflow.artifacts()
    )
    for trial_id, run in runs.items():
        expected = trials.loc[trial_id]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["variant"] == expected["variant"]
        assert run.data.tags["orchestrator.kind"] == expected["kind"]
        assert run.info.status == ("FAILED" if expected["failure"] else "FINISHED")
        if not expected["failure"]:
            assert [step for step, _ in mlflow.history(run, "kl")] == [1, 2]
            assert [value for _, value in mlflow.history(run, "gpu_seconds")] == [0.0, 0.0]
            assert run.data.metrics["test/nll"] == pytest.approx(float(expected["nll"]), rel=1e-6)
            assert {run.data.tags[name] for name in ("collapsed", "frontier")} <= {"true", "false"}


def test_a_snapshot_that_a_renamed_file_spoilt_is_not_worth_saying() -> None:
    def said(error: Exception) -> bool:
        about = (type(error), error, None)
        return worth_saying(logging.LogRecord("tune", logging.ERROR, "", 0, "failed", None, about))

    assert not said(FileNotFoundError("Failed to open local file '/tune/.20eb-tmp-searcher-state-1.pkl'"))
    assert said(FileNotFoundError("Failed to open local file '/tune/experiment_state.json'"))
    assert said(OSError("No space left on device: .20eb-tmp-searcher-state-1.pkl"))
    assert worth_saying(logging.LogRecord("tune", logging.ERROR, "", 0, "failed", None, None))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_trial_is_tried_again_then_fails_then_counts_after_a_resume(tmp_path: Path) -> None:
    arguments = (
        *("--variants", "cyclical", "--trials", "2", "--epochs", "8", "--baseline-seeds", "1"),
        *("--replicates", "1", "--max-replicates", "1", "--max-sentences", "700"),
        *("--kl-floor", "0", "--max-concurrent", "1", "--name", "s"),
    )
    once = Sweep(tmp_path)
    with once.started(*arguments) as process:
        read_until(process, trial_is_done(1))
        time.sleep(0.5)
        kill_one_trial(process)
        output, errors = process.communicate(timeout=600)
    assert (process.returncode, errors) == (0, "")
    assert "failed" not in output
    assert len(re.findall(r"^cyclical .* is tried again: The actor died .*error\.txt\)$", output, re.M)) == 1
    trials = assert_complete(once, {"language_model": 1, "cyclical": 3}, 8)
    (tmp_path / "again").mkdir()
    sweep = Sweep(tmp_path / "again")
    with sweep.started(*arguments) as process:
        read_until(process, trial_is_done(1))
        said: list[str] = []
        while not said or " is given up: " not in said[-1]:
            kill_one_trial(process)
            said += read_until(process, lambda line: " is tried again: " in line or " is given up: " in line)
        output, errors = process.communicate(timeout=600)
    assert (process.returncode, errors) == (1, "")  # a trial is lost
    assert output.count("failed (error)") == 1
    # Three tries more, and all of them again if it had come through an epoch before it was killed.
    assert sum(" is tried again: " in line for line in said) in (3, 4, 5)
    broken = sweep.trials("s")
    assert sorted(broken["failure"]) == ["", "", "", "error"]

    done = sweep.run("--resume", "s")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line[:6] for line in done.stdout.splitlines() if FINISHED_LINE.match(line)] == ["[4/4] "]
    resumed = assert_complete(sweep, {"language_model": 1, "cyclical": 3}, 8)
    first = [frame[frame["kind"] == "baseline"]["nll"].item() for frame in (trials, resumed)]
    assert first[0] == first[1]


@pytest.mark.slow
def test_a_sweep_of_which_nothing_finishes(tmp_path: Path) -> None:
    write_corpus(tmp_path / "text.txt")
    sweep = Sweep(tmp_path)
    done = sweep.run(
        *("--corpus", "text.txt", "--variants", "vanilla", "--trials", "1", "--epochs", "2", "--name", "s"),
        *("--baseline-seeds", "1", "--set", "learning_rate=1e300"),
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.count("failed (diverged)") == 2
    assert reader(sweep).parent().info.status == "FAILED"
