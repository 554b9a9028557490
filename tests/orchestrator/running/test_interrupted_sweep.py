"""Sweeps that are interrupted or killed, and resumed, through the command."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.sweep_process import (
    FINISHED_LINE,
    RESUME,
    Sweep,
    assert_complete,
    control_c,
    processes_below,
    read_until,
    reader,
    trial_is_done,
    wait_gone,
)

LONGER = (
    *("--variants", "vanilla,cyclical", "--trials", "2", "--epochs", "8", "--baseline-seeds", "2"),
    *("--replicates", "2", "--max-replicates", "2", "--kl-floor", "0", "--max-sentences", "700"),
    *("--name", "s"),
)  # eight trials of some seconds
LONGER_PLANNED = {"language_model": 2, "vanilla": 2, "cyclical": 4}


def interrupted(
    sweep: Sweep, after: int, end: Callable[..., None], *arguments: str
) -> tuple[int, str, float]:
    """Exit status, standard error, and the seconds that it took to end; no process of it stays."""
    with sweep.started(*arguments) as process:
        read_until(process, trial_is_done(after))
        time.sleep(1.0)
        below = processes_below(process.pid)
        start = time.monotonic()
        end(process)
        _, errors = process.communicate(timeout=120)
        took = time.monotonic() - start
    wait_gone(below)
    return process.returncode, errors, took


def saved(sweep: Sweep) -> int:
    """Trials that have ended in the state that Tune has on disk; 0 while it is being written."""
    try:
        (state,) = (sweep.folder / "sweeps" / "s" / "tune").glob("experiment_state*.json")
        trials = json.loads(state.read_text())["trial_data"]
    except (OSError, ValueError):
        return 0
    return sum(json.loads(trial)["status"] == "TERMINATED" for trial, _ in trials)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_control_c_and_resume(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    status, errors, took = interrupted(sweep, 3, control_c, *LONGER)
    print(f"the first Ctrl-C took {took:.1f} s")
    assert status == 130
    assert RESUME.fullmatch(errors)
    assert took < 60
    early = sweep.trials("s")
    assert 3 <= len(early) < 8  # those that have ended, and no others
    assert set(early["failure"]) == {""}
    states = {name: run.info.status for name, run in reader(sweep).trials().items()}
    assert {name for name, state in states.items() if state == "FINISHED"} == set(early["trial_id"])
    assert set(states.values()) <= {"FINISHED", "KILLED"}
    assert reader(sweep).parent().info.status == "KILLED"

    start = time.monotonic()
    done = sweep.run("--resume", "s")
    print(f"the resumed sweep took {time.monotonic() - start:.1f} s")
    assert (done.returncode, done.stderr) == (0, "")
    numbers = [int(match[1]) for line in done.stdout.splitlines() if (match := FINISHED_LINE.match(line))]
    assert numbers == list(range(len(early) + 1, 9))  # what is finished is not run again
    late = assert_complete(sweep, LONGER_PLANNED, 8).set_index("trial_id")
    for _, trial in early.iterrows():
        assert float(late.loc[trial["trial_id"], "nll"]) == float(trial["nll"])

    again = sweep.run("--resume", "s")  # nothing is left to do: the report once more
    assert (again.returncode, again.stderr) == (0, "")
    assert not any(FINISHED_LINE.match(line) for line in again.stdout.splitlines())
    assert "examined [" not in again.stdout
    assert_complete(sweep, LONGER_PLANNED, 8)


INTERRUPTED_AT_THE_LAST_RESULT = """
import runpy, signal
from orchestrator.tracking.callback import TrackingCallback

passed_on, ended = TrackingCallback.on_trial_result, []

def interrupts(self, iteration, trials, trial, result, **info):
    passed_on(self, iteration, trials, trial, result, **info)
    ended.extend([trial.trial_id] if "final" in result else [])
    if len(ended) == 3 and "final" in result:
        print("interrupted:", trial.trial_id, flush=True)
        signal.raise_signal(signal.SIGINT)

TrackingCallback.on_trial_result = interrupts
runpy.run_module("orchestrator.sweep", run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_trial_that_is_interrupted_between_its_last_result_and_its_end(tmp_path: Path) -> None:
    """Tune saves a last checkpoint there: the trial is not reported yet, neither here nor in MLflow."""
    sweep = Sweep(tmp_path)
    sweep.command = ("-c", INTERRUPTED_AT_THE_LAST_RESULT)
    first = sweep.run(*LONGER)
    assert first.returncode == 130
    (interrupted_id,) = re.findall(r"interrupted: (\w+)", first.stdout)
    early = set(sweep.trials("s")["trial_id"])
    assert len(early) == 2
    assert interrupted_id not in early
    states = {name: run.info.status for name, run in reader(sweep).trials().items()}
    assert {name for name, state in states.items() if state == "FINISHED"} == early
    assert states[interrupted_id] == "KILLED"
    done = Sweep(tmp_path).run("--resume", "s")
    assert (done.returncode, done.stderr) == (0, "")
    assert interrupted_id in set(assert_complete(sweep, LONGER_PLANNED, 8)["trial_id"])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_sweep_is_resumed_with_another_limit(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    # Epochs enough for a second process to start while the first trains.
    one_by_one = (*LONGER, "--epochs", "32", "--max-concurrent", "1")

    def killed(process: subprocess.Popen[str]) -> None:
        while saved(sweep) < 3:  # Tune saves its state now and then: what ended since would run once more
            time.sleep(0.05)
        process.kill()

    status, _, _ = interrupted(sweep, 3, killed, *one_by_one)
    assert status == -9
    known = saved(sweep)
    finished = {name for name, run in reader(sweep).trials().items() if run.info.status == "FINISHED"}
    assert finished  # MLflow may lag behind, or know of one that ended after Tune's last snapshot
    done = sweep.run("--resume", "s", "--max-concurrent", "2")
    assert (done.returncode, done.stderr) == (0, "")
    rerun = sum(FINISHED_LINE.match(line) is not None for line in done.stdout.splitlines())
    assert rerun == 8 - known
    assert_complete(sweep, LONGER_PLANNED, 32, lost=1)
    runs = {name: run.info for name, run in reader(sweep).trials().items() if run.info.status == "FINISHED"}
    assert finished <= set(runs)
    early = sorted((runs[name].start_time, runs[name].end_time) for name in finished)
    late = sorted((run.start_time, run.end_time) for name, run in runs.items() if name not in finished)
    assert not any(later[0] < earlier[1] for earlier, later in pairwise(early))
    assert any(later[0] < earlier[1] for earlier, later in pairwise(late))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_control_c_twice_at_once_and_then_again_and_again(tmp_path: Path) -> None:
    def twice(process: subprocess.Popen[str]) -> None:
        control_c(process)
        time.sleep(0.5)
        control_c(process)

    def until_it_ends(process: subprocess.Popen[str]) -> None:
        while process.poll() is None:
            control_c(process)
            time.sleep(0.3)

    sweep = Sweep(tmp_path)
    status, errors, took = interrupted(sweep, 1, twice, *LONGER)
    print(f"two Ctrl-C took {took:.1f} s")
    assert status == 130
    assert RESUME.fullmatch(errors)
    assert took < 30
    status, errors, _ = interrupted(sweep, 3, until_it_ends, "--resume", "s")
    assert status in (130, -signal.SIGINT)  # to a shell both are 130
    assert RESUME.fullmatch(errors)
    assert sweep.run("--resume", "s").returncode == 0
    assert_complete(sweep, LONGER_PLANNED, 8)
