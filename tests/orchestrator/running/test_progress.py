from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from orchestrator.budget.time_left import Spent, TimeLeft
from orchestrator.common.wording import duration
from orchestrator.running.progress import (
    MANY,
    FinishedTrial,
    ProgressCallback,
    RunningTrial,
    SweepProgress,
    last_error,
)
from orchestrator.search.trial_plan import TrialPlan, describe

ANNEALED = {
    "anneal_shape": "logistic",
    "anneal_rate": 1.1234567,
    "anneal_delay": 14.61234,
    "kl_start": 0.1234,
    "word_keep_rate": 0.98765,
}
LONG = TrialPlan("annealed", "replicate", ANNEALED, 12, tuple(ANNEALED))
VANILLA = TrialPlan("vanilla", "trial", {}, 3)
BASELINE = TrialPlan("language_model", "baseline", {"decoder": "dilated", "dilation": "M"}, 1)
CYCLICAL = TrialPlan("cyclical", "trial", {"cycles": 4}, 0, ("cycles",))


TYPICAL = {plan.variant: plan for plan in (LONG, VANILLA, BASELINE, CYCLICAL)}
PLANNED = {"language_model": 2, "vanilla": 3, "cyclical": 5}


def progress(
    concurrency: int = 2, planned: Mapping[str, int] = PLANNED, epochs: int = 10, name: str = "s"
) -> SweepProgress:
    return SweepProgress(name, TimeLeft(epochs, epochs, planned, TYPICAL, concurrency))


def done(plan: TrialPlan, seconds: float, total: float = 12.0) -> FinishedTrial:
    return FinishedTrial(plan, seconds, total - 1.0, 1.0, total, spent=Spent(10, 100, 0, seconds))


def shown(of: SweepProgress, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(of.view())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


# -- the time left -------------------------------------------------------------------------------------


def test_nothing_is_known_at_first() -> None:
    sweep = progress()
    assert sweep.seconds_left() is None
    sweep.running["a"] = RunningTrial(BASELINE)
    assert sweep.seconds_left() is None
    assert "estimating the time left" in shown(sweep, 80)[0]


def test_what_a_trial_has_waited_is_over() -> None:
    sweep = progress(planned={"language_model": 1})
    sweep.running["a"] = running = RunningTrial(BASELINE)
    running.report(4, {"optimizer_steps": 40, "inner_steps": 0, "seconds": 80.0})
    assert sweep.seconds_left() == pytest.approx(6 * 20.0, abs=1.0)
    running.since -= 30.0
    assert sweep.seconds_left() == pytest.approx(90.0, abs=1.0)
    running.since -= 100.0
    assert sweep.seconds_left() == 0.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (59.4, "59 s"), (60, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# -- as text -------------------------------------------------------------------------------------------


def test_a_trial_in_few_words() -> None:
    assert describe(VANILLA) == "vanilla seed 3"
    assert describe(BASELINE) == "language_model dilated-M seed 1"
    assert describe(CYCLICAL) == "cyclical cycles=4"
    assert describe(LONG) == (
        "annealed anneal_shape=logistic anneal_rate=1.123 anneal_delay=14.61 kl_start=0.1234"
        " word_keep_rate=0.9877 seed 12"
    )


def test_with_many_trials_estimates_take_a_small_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, made = 0.0, 0

    def estimate(_: SweepProgress) -> float:
        nonlocal now, made
        now += 0.1  # so long it takes
        made += 1
        return 50.0

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    monkeypatch.setattr(SweepProgress, "seconds_left", estimate)
    sweep = progress(planned={"cyclical": 1000})
    sweep.finished = {str(number): done(CYCLICAL, 4.0) for number in range(MANY + 1)}
    left = []
    for _ in range(100):
        now += 0.1
        left.append(sweep.line(done(CYCLICAL, 4.0)).rpartition("about ")[2])
    assert made in (5, 6)
    assert 0.1 * made / now < 0.06
    assert (left[0], left[15]) == ("50 s of training left", "48 s of training left")  # it counts down between
    few = progress(planned={"cyclical": 1000})
    few.finished = {"a": done(CYCLICAL, 4.0)}
    before = made
    for _ in range(10):
        few.line(done(CYCLICAL, 4.0))
    assert made == before + 10


def test_a_line_for_each_finished_trial() -> None:
    sweep = progress(concurrency=1, planned={"cyclical": 3})
    sweep.finished["a"] = first = done(CYCLICAL, 4.0)
    assert (
        sweep.line(first)
        == "[1/3] trial cyclical cycles=4: NLL 11.00 + KL 1.00 = 12.00 (4 s), about 8 s of training left"
    )
    sweep.finished["b"] = second = FinishedTrial(CYCLICAL, 2.0, failure="out_of_memory")
    assert (
        sweep.line(second)
        == "[2/3] trial cyclical cycles=4: failed (out of memory) (2 s), about 4 s of training left"
    )
    sweep.finished["c"] = done(CYCLICAL, 4.0)
    assert sweep.line(first).endswith("(4 s), the planned trials are done")


def test_the_best_by_variant() -> None:
    sweep = progress()
    sweep.finished = {
        "a": done(VANILLA, 1.0, 13.0),
        "b": done(CYCLICAL, 1.0, 12.5),
        "c": done(CYCLICAL, 1.0, 12.25),
        "d": FinishedTrial(CYCLICAL, 1.0, failure="diverged"),
    }
    assert sweep.best() == {"vanilla": sweep.finished["a"], "cyclical": sweep.finished["c"]}
    rows = [line.split() for line in shown(sweep, 80)]
    assert rows[-3:-1] == [
        ["cyclical", "cycles=4", "11.25", "1.00", "12.25"],
        ["vanilla", "seed", "3", "12.00", "1.00", "13.00"],
    ]


@pytest.mark.parametrize("width", [50, 80, 120])
def test_the_view_fits_the_terminal_and_keeps_the_figures(width: int) -> None:
    sweep = progress(2, {"annealed": 40}, 12, "a-sweep-with-a-name-of-some-length")
    sweep.running = {
        "a": RunningTrial(LONG, Spent(3, 300, 0, 60.0), {"nll": 123.456, "kl": 7.8}),
        "b": RunningTrial(VANILLA),
    }
    sweep.finished = {"c": done(LONG, 200.0, 12.345), "d": FinishedTrial(VANILLA, 2.0, failure="diverged")}
    lines = shown(sweep, width)
    assert max(map(len, lines)) <= width
    assert len(lines) == 10  # no row takes two lines
    (running,) = [line for line in lines if "123.46" in line]
    assert running.split()[-3:] == ["3/12", "123.46", "7.80"]
    assert running.startswith("annealed anneal_shape")
    (best,) = [line for line in lines if "12.35" in line or "12.34" in line]
    assert best.split()[-2] == "1.00"
    if width >= 80:
        assert "  2 of 40 trials, 1 failed, about " in lines[0]


def test_before_the_first_trial_the_view_says_so() -> None:
    assert shown(progress(), 80)[-1] == "starting the first trials"


# -- fed by Tune ---------------------------------------------------------------------------------------


def trial(trial_id: str, plan: TrialPlan, **result: Any) -> Any:
    return SimpleNamespace(trial_id=trial_id, config=plan.config(), last_result=result, error_file=None)


FINAL = {"best/nll": 11.0, "best/kl": 1.0, "best/nll_plus_kl": 12.0}


def test_plain_lines_where_there_is_no_terminal() -> None:
    console = Console(file=io.StringIO(), width=40)
    sweep = progress()
    with ProgressCallback(sweep, console) as shows:
        for name, plan in (("a", CYCLICAL), ("b", VANILLA), ("c", LONG)):
            shows.on_trial_start(0, [], trial(name, plan))
        metrics = {"nll": 12.0, "optimizer_steps": 20, "inner_steps": 3, "seconds": 5.0}
        shows.on_trial_result(0, [], trial("a", CYCLICAL), {"epoch": 2, "metrics": metrics})
        assert sweep.running["a"].spent == Spent(2, 20, 3, 5.0, 1, True)
        assert sweep.running["a"].metrics == metrics
        shows.on_trial_result(0, [], trial("a", CYCLICAL), {"epoch": 3, "metrics": {}})  # it failed
        assert sweep.running["a"].spent.epochs == 2
        shows.on_trial_complete(0, [], trial("a", CYCLICAL, final=FINAL, time_total_s=25.0))
        shows.on_trial_complete(0, [], trial("b", VANILLA, failure="diverged", time_total_s=5.0))
        shows.on_trial_recover(0, [], trial("c", LONG))
        shows.on_trial_error(0, [], trial("c", LONG))
    assert sweep.running == {}
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "[1/10] trial cyclical cycles=4",
        "[2/10] trial vanilla seed 3",
        f"{describe(LONG)} is tried again",
        f"{describe(LONG)} is given up",
        f"[3/10] replicate {describe(LONG)}",
    ]
    assert ": failed (diverged) (5 s)" in lines[1]
    assert ": failed (error) (0 s)" in lines[4]


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("The actor died unexpectedly.\n\tclass_name: X\nmore\n", "The actor died unexpectedly."),
        ("\x1b[36mray::X()\x1b[39m (pid=1)\n  File a\nKeyError: 'b'\n\n", "KeyError: 'b'"),
        ("", "unknown"),
    ],
)
def test_an_error_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, shown: str) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "error.txt"
    file.write_text(f"Failure # 1 (occurred at x)\nanother\nFailure # 2 (occurred at y)\n{error}")
    line = last_error(SimpleNamespace(error_file=str(file)))
    assert line == (f"{shown} (error.txt)" if error else shown)
    assert last_error(SimpleNamespace(error_file=None)) == "unknown"


def test_what_is_finished_survives_a_resume() -> None:
    console = Console(file=io.StringIO())
    first, second = (ProgressCallback(progress(), console) for _ in range(2))
    first.on_trial_complete(0, [], trial("a", CYCLICAL, final=FINAL, time_total_s=25.0))
    first.on_trial_error(0, [], trial("b", VANILLA))
    second.set_state(first.get_state())
    assert second.progress.finished == first.progress.finished
    second.on_trial_start(0, [], trial("b", VANILLA))  # failed, and runs again
    assert list(second.progress.finished) == ["a"]


def test_a_live_view_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    with ProgressCallback(progress(), console) as shows:
        assert isinstance(console.file, io.StringIO)
        shows.on_trial_start(0, [], trial("a", CYCLICAL))
        metrics = {"optimizer_steps": 20, "inner_steps": 0, "seconds": 5.0}
        shows.on_trial_result(0, [], trial("a", CYCLICAL), {"epoch": 2, "metrics": metrics})
        shows.on_trial_complete(0, [], trial("a", CYCLICAL, final=FINAL, time_total_s=25.0))
        written = console._live_stack  # the view itself, no lines
        assert written
    assert not console._live_stack
    text = console.file.getvalue()
    assert "starting the first trials" in text
    assert "[1/10]" not in text
    assert "1 of 10 trials, about 3 min 45 s of training left" in text


# -- in trouble ----------------------------------------------------------------------------------------


def test_an_error_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "error.txt"
    file.write_bytes(b"Failure # 1 (occurred at x)\nnot \xff text\n")
    assert last_error(SimpleNamespace(error_file=str(file))).startswith("not \ufffd text (")


def test_no_hook_ends_the_sweep(caplog: pytest.LogCaptureFixture) -> None:
    file = io.StringIO()
    shows = ProgressCallback(progress(), Console(file=file))
    file.close()
    shows.on_trial_start(0, [], SimpleNamespace(trial_id="a", config={}))
    shows.on_trial_result(0, [], trial("a", VANILLA), {})
    shows.on_trial_complete(0, [], trial("a", VANILLA, final=FINAL))
    shows.on_trial_recover(0, [], trial("a", VANILLA))
    shows.on_trial_error(0, [], trial("a", VANILLA))
    shows.set_state({})
    hooks = ("on_trial_start", "on_trial_result", "on_trial_complete", "on_trial_recover", "on_trial_error")
    assert caplog.messages == [
        f"ProgressCallback.{hook} failed; the sweep goes on" for hook in (*hooks, "set_state")
    ]
    assert list(shows.progress.finished) == ["a"]


CLOSED = """
from tests.orchestrator.running.test_progress import *
with ProgressCallback(progress(), Console()) as shows:
    for name in "abc":
        shows.on_trial_complete(0, [], trial(name, VANILLA, final=FINAL))
assert list(shows.progress.finished) == ["a", "b", "c"]
"""


@pytest.mark.slow
def test_a_closed_stdout_does_not_end_the_sweep() -> None:
    """As in `sweep … | head`; a program of its own, for Rich replaces the stdout then."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", CLOSED]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("BrokenPipeError") == 1
    assert done.stderr.count("ProgressCallback.on_trial_complete failed; the sweep goes on") == 1


def test_who_ends_the_program_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray answers SIGTERM with SystemExit, wherever the program is."""

    def terminated(_: Any) -> str:
        raise SystemExit(15)

    monkeypatch.setattr("orchestrator.running.progress.last_error", terminated)
    with pytest.raises(SystemExit):
        ProgressCallback(progress(), Console(file=io.StringIO())).on_trial_recover(0, [], trial("a", VANILLA))
