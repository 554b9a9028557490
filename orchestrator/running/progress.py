"""What a sweep shows while it runs: trials at work, trials done, the best so far, the time left.

On a terminal a live view; elsewhere one plain line per finished trial.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from ray import tune
from ray.tune.experiment import Trial
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.budget.time_left import Spent, TimeLeft, TrialCost
from orchestrator.common.commands import from_here
from orchestrator.common.harmless import harmless
from orchestrator.common.wording import duration
from orchestrator.search.objectives import Point
from orchestrator.search.rungs import EARLY
from orchestrator.search.trial_plan import TrialPlan, describe

LOOK_S, FRAME_S = 1.0, 0.1
"""Seconds after which a live view is drawn anew, though nothing has happened, and between two of them."""
MANY, SHARE = 200, 0.05
"""Behind so many trials the estimates take at most this share of the driver's time."""


@dataclass
class RunningTrial:
    """A trial at work: its plan, what it has cost, its latest metrics, when they came (on the monotonic
    clock, which no change of the time of day moves), and whether it pauses at a rung."""

    plan: TrialPlan
    spent: Spent = field(default_factory=Spent)
    metrics: Mapping[str, float] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)
    paused: bool = False

    def report(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """An epoch has ended."""
        if "optimizer_steps" in metrics:  # else the epoch failed
            self.spent = self.spent.after(epoch, metrics)
        self.metrics, self.since = metrics, time.monotonic()


@dataclass(frozen=True)
class FinishedTrial:
    """What remains of a finished trial; the figures are on validation, None if the trial failed."""

    plan: TrialPlan
    seconds: float
    nll: float | None = None
    kl: float | None = None
    nll_plus_kl: float | None = None
    failure: str | None = None
    spent: Spent = Spent()


@dataclass
class SweepProgress:
    """The state of a sweep as people see it; survives a resume."""

    name: str
    time_left: TimeLeft
    running: dict[str, RunningTrial] = field(default_factory=dict)
    finished: dict[str, FinishedTrial] = field(default_factory=dict)
    _estimate: tuple[float, float, float | None] = (-math.inf, 0.0, None)
    """When the last one was made, how long that took, and what it was."""

    @property
    def total(self) -> int:
        """Trials in all: the planned ones, and those that came on top because the test had not decided."""
        return max(sum(self.time_left.planned.values()), len(self.finished) + len(self.running))

    def best(self) -> dict[str, FinishedTrial]:
        """The lowest NLL + KL on validation so far, by variant."""
        best: dict[str, FinishedTrial] = {}
        for trial in self.finished.values():
            variant = trial.plan.variant
            if trial.nll_plus_kl is None:
                continue
            known = best.get(variant)
            if known is None or known.nll_plus_kl is None or trial.nll_plus_kl < known.nll_plus_kl:
                best[variant] = trial
        return best

    def seconds_left(self) -> float | None:
        """Of the training, see `TimeLeft`; None before anything is known."""
        now = time.monotonic()
        costs = [
            TrialCost(
                trial.plan,
                trial.spent,
                max(0.0, trial.seconds - trial.spent.seconds),
                final=None if trial.nll is None or trial.kl is None else Point(trial.nll, trial.kl),
            )
            for trial in self.finished.values()
        ]
        costs += [  # most of those that pause will not go on
            TrialCost(trial.plan, trial.spent, other=0.0)
            if trial.paused
            else TrialCost(trial.plan, trial.spent, waited=now - trial.since)
            for trial in self.running.values()
        ]
        return self.time_left.seconds(costs)

    def line(self, trial: FinishedTrial) -> str:
        """One finished trial as a plain line."""
        return (
            f"[{len(self.finished)}/{self.total}] {trial.plan.kind} {describe(trial.plan)}: "
            f"{_figures(trial)} ({trial.seconds:.0f} s), {self._left()}"
        )

    def view(self) -> RenderableType:
        """The live view."""
        failed = sum(trial.failure not in (None, *EARLY) for trial in self.finished.values())
        paused = sum(trial.paused for trial in self.running.values())
        head = Text.assemble(
            ("sweep ", "dim"), (self.name, "bold"), f"  {len(self.finished)} of {self.total} trials, ",
            (f"{failed} failed, " if failed else "", "red"), f"{paused} at a rung, " if paused else "",
            self._left(), overflow="ellipsis", no_wrap=True,
        )  # fmt: skip
        bar = ProgressBar(total=self.total, completed=len(self.finished), width=60)
        running = _table("running", "epoch", "NLL", "KL")
        for trial in self.running.values():
            if trial.paused:
                continue
            nll, kl = (
                f"{trial.metrics[name]:.2f}" if name in trial.metrics else "" for name in ("nll", "kl")
            )
            running.add_row(_short(trial.plan), self.time_left.place(trial.spent.epochs), nll, kl)
        best = _table("best so far", "NLL", "KL", "NLL + KL")
        for _, finished in sorted(self.best().items(), key=lambda item: item[1].nll_plus_kl or 0.0):
            figures = (finished.nll, finished.kl, finished.nll_plus_kl)
            best.add_row(
                _short(finished.plan), *(f"{figure:.2f}" for figure in figures if figure is not None)
            )
        parts: list[RenderableType] = [head, bar, Text("\n")]  # a bar has no line end of its own
        if running.row_count:
            parts += [running, Text()]
        if best.row_count:
            parts += [best, Text("validation, nats per sentence", "dim")]
        elif not running.row_count:
            parts.append(Text("starting the first trials", "dim"))
        return Group(*parts)

    def _left(self) -> str:
        if len(self.finished) >= self.total:
            return "the planned trials are done"
        seconds = self._lately_left()
        return (
            "estimating the time left" if seconds is None else f"about {duration(seconds)} of training left"
        )

    def _lately_left(self) -> float | None:
        """`seconds_left`, which with thousands of trials is not made anew at each of them."""
        made, took, seconds = self._estimate
        begin = time.perf_counter()
        if len(self.finished) > MANY and begin - made < took / SHARE:
            return None if seconds is None else max(0.0, seconds - (begin - made))
        seconds = self.seconds_left()
        self._estimate = (begin, time.perf_counter() - begin, seconds)
        return seconds


class ProgressCallback(tune.Callback):
    """Feeds a SweepProgress from Ray Tune's events and shows it, from the `with` block's begin to its end.

    Args:
        planned: number of trials by variant, which may change as the search goes on; None if it does not.
    """

    def __init__(
        self,
        progress: SweepProgress,
        console: Console,
        planned: Callable[[], Mapping[str, int]] | None = None,
    ) -> None:
        self.progress, self.console, self._planned = progress, console, planned
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._shown = 0.0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        self._show()
        return self

    @harmless
    def __exit__(self, *error: object) -> None:
        """What the live view last showed stays on the terminal."""
        if self._live is not None:
            self._live.stop()

    @harmless
    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.progress.finished.pop(trial.trial_id, None)  # failed before the resume
        self._running(trial)
        if self._planned is not None:
            self.progress.time_left = replace(self.progress.time_left, planned=self._planned())
        self._show()

    @harmless
    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if time.monotonic() - self._shown >= LOOK_S:
            for trial in trials:
                if running := self.progress.running.get(trial.trial_id):
                    running.paused = trial.status == Trial.PAUSED
            self._show()

    @harmless
    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._running(trial).report(result["epoch"], result["metrics"])
        if time.monotonic() - self._shown >= FRAME_S:
            self._show()

    @harmless
    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        result = trial.last_result
        if "final" in result or "failure" in result:
            self._finish(trial, result.get("failure"))
        else:  # the sweep ends at a cap while it pauses
            self.progress.running.pop(trial.trial_id, None)

    @harmless
    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._say(f"{describe(TrialPlan.from_config(trial.config))} is tried again: {last_error(trial)}")

    @harmless
    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._say(f"{describe(TrialPlan.from_config(trial.config))} is given up: {last_error(trial)}")
        self._finish(trial, "error")

    def get_state(self) -> dict[str, Any]:
        return {"finished": self.progress.finished}

    @harmless
    def set_state(self, state: dict[str, Any]) -> None:
        self.progress.finished = state["finished"]
        self._show()

    def _running(self, trial: Any) -> RunningTrial:
        plan = TrialPlan.from_config(trial.config)
        return self.progress.running.setdefault(trial.trial_id, RunningTrial(plan))

    def _finish(self, trial: Any, failure: str | None) -> None:
        running = self.progress.running.pop(trial.trial_id, None)
        final = {} if failure else trial.last_result.get("final", {})
        finished = FinishedTrial(
            TrialPlan.from_config(trial.config),
            trial.last_result.get("time_total_s", 0.0),
            final.get("best/nll"),
            final.get("best/kl"),
            final.get("best/nll_plus_kl"),
            failure,
            running.spent if running else Spent(),
        )
        self.progress.finished[trial.trial_id] = finished
        if self._live is None:
            self._say(self.progress.line(finished))
        self._show()

    def _say(self, line: str) -> None:
        """A plain line; above the live view if there is one."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)

    def _show(self) -> None:
        self._shown = time.monotonic()
        if self._live is not None:
            self._live.update(self.progress.view(), refresh=True)


def _table(first: str, *figures: str) -> Table:
    """A table whose first column gives way where the terminal is narrow."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(first, overflow="ellipsis")
    for title in figures:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _short(plan: TrialPlan) -> Text:
    return Text(describe(plan), no_wrap=True)


def last_error(trial: Any) -> str:
    """The latest of a trial's errors in a line, and the file in which Tune keeps all of them."""
    try:
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    except (TypeError, OSError):
        return "unknown"
    lines = [line for line in text.rpartition("Failure #")[2].splitlines()[1:] if line.strip()]
    traceback = any(line.startswith("Traceback") or "ray::" in line for line in lines[:1])
    return f"{lines[-1 if traceback else 0]} ({from_here(trial.error_file)})" if lines else "unknown"


def _figures(trial: FinishedTrial) -> str:
    if trial.nll is None or trial.kl is None or trial.nll_plus_kl is None:
        what = "stopped" if trial.failure in EARLY else "failed"
        return f"{what} ({trial.failure})".replace("_", " ")
    return f"NLL {trial.nll:.2f} + KL {trial.kl:.2f} = {trial.nll_plus_kl:.2f}"
