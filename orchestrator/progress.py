"""What a sweep shows while it runs: trials at work, trials done, the best so far, the time left.

On a terminal a live view; elsewhere one plain line per finished trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ray import tune
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.records import TrialPlan


@dataclass
class RunningTrial:
    """A trial at work: its plan, epochs done, seconds so far, latest metrics."""

    plan: TrialPlan
    epoch: int = 0
    seconds: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FinishedTrial:
    """What remains of a finished trial; `nll_plus_kl` is on validation, None if the trial failed."""

    plan: TrialPlan
    seconds: float
    nll: float | None = None
    kl: float | None = None
    nll_plus_kl: float | None = None


@dataclass
class SweepProgress:
    """The state of a sweep as people see it; survives a resume."""

    name: str
    planned: Mapping[str, int]
    epochs: int
    concurrency: int
    running: dict[str, RunningTrial] = field(default_factory=dict)
    finished: dict[str, FinishedTrial] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.planned.values())

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
        """An estimate: each trial to come costs what its variant's trials have cost so far on average,
        or the average of all while its variant has none; None before anything is known."""
        costs: dict[str, list[float]] = {}
        for trial in self.finished.values():
            costs.setdefault(trial.plan.variant, []).append(trial.seconds)
        for running in self.running.values():
            if running.epoch:
                whole = running.seconds * self.epochs / running.epoch
                costs.setdefault(running.plan.variant, []).append(whole)
        if not costs:
            return None
        means = {variant: sum(seconds) / len(seconds) for variant, seconds in costs.items()}
        overall = sum(means.values()) / len(means)
        done: dict[str, int] = {}
        for trial in self.finished.values():
            done[trial.plan.variant] = done.get(trial.plan.variant, 0) + 1
        work = sum(
            max(0, planned - done.get(variant, 0)) * means.get(variant, overall)
            for variant, planned in self.planned.items()
        )
        work -= sum(trial.seconds for trial in self.running.values())
        return max(0.0, work) / self.concurrency

    def line(self, trial: FinishedTrial) -> str:
        """One finished trial as a plain line."""
        return (
            f"[{len(self.finished)}/{self.total}] {trial.plan.kind} {describe(trial.plan)}: "
            f"{_figures(trial)} ({trial.seconds:.0f} s), {self._left()}"
        )

    def view(self) -> RenderableType:
        """The live view."""
        head = Text.assemble(
            ("sweep ", "dim"), (self.name, "bold"), f"  {len(self.finished)} of {self.total} trials, ",
            self._left(),
        )  # fmt: skip
        bar = ProgressBar(total=self.total, completed=len(self.finished), width=60)
        running = Table(box=None, pad_edge=False, header_style="dim")
        for title, justify in (("running", "left"), ("epoch", "right"), ("NLL", "right"), ("KL", "right")):
            running.add_column(title, justify=justify)  # type: ignore[arg-type]
        for trial in self.running.values():
            nll, kl = (
                f"{trial.metrics[name]:.2f}" if name in trial.metrics else "" for name in ("nll", "kl")
            )
            running.add_row(describe(trial.plan), f"{trial.epoch}/{self.epochs}", nll, kl)
        best = Table(box=None, pad_edge=False, header_style="dim")
        best.add_column("best so far (validation)")
        best.add_column("figures, nats per sentence")
        for _, finished in sorted(self.best().items(), key=lambda item: item[1].nll_plus_kl or 0.0):
            best.add_row(describe(finished.plan), _figures(finished))
        return Group(head, bar, Text(), running, Text(), best)

    def _left(self) -> str:
        seconds = self.seconds_left()
        return "estimating the time left" if seconds is None else f"about {duration(seconds)} left"


class ProgressCallback(tune.Callback):
    """Feeds a SweepProgress from Ray Tune's events and shows it."""

    _live: ClassVar[Live | None] = None  # of the terminal, whichever copy of the callback feeds it

    def __init__(self, progress: SweepProgress) -> None:
        self.progress = progress

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        plan = TrialPlan.from_config(trial.config)
        self.progress.running.setdefault(trial.trial_id, RunningTrial(plan))
        self._show()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        plan = TrialPlan.from_config(trial.config)
        running = self.progress.running.setdefault(trial.trial_id, RunningTrial(plan))
        running.epoch, running.metrics = result["epoch"], result["metrics"]
        running.seconds = result["time_total_s"]
        self._show()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._finish(trial, trial.last_result.get("final") or {})

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._finish(trial, {})

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        self.stop()

    @classmethod
    def stop(cls) -> None:
        """Ends the live view; what it last showed stays on the terminal."""
        if cls._live is not None:
            cls._live.stop()
            cls._live = None

    def get_state(self) -> dict[str, Any]:
        return {"finished": self.progress.finished}

    def set_state(self, state: dict[str, Any]) -> None:
        self.progress.finished = state["finished"]

    def _finish(self, trial: Any, final: Mapping[str, float]) -> None:
        self.progress.running.pop(trial.trial_id, None)
        finished = FinishedTrial(
            TrialPlan.from_config(trial.config),
            trial.last_result.get("time_total_s", 0.0),
            final.get("best/nll"),
            final.get("best/kl"),
            final.get("best/nll_plus_kl"),
        )
        self.progress.finished[trial.trial_id] = finished
        console = Console()
        if console.is_terminal:
            self._show()
        else:
            console.print(self.progress.line(finished), highlight=False, soft_wrap=True, markup=False)

    def _show(self) -> None:
        if not Console().is_terminal:
            return
        cls = type(self)
        if cls._live is None:
            cls._live = Live(auto_refresh=False)
            cls._live.start()
        cls._live.update(self.progress.view(), refresh=True)


def describe(plan: TrialPlan) -> str:
    """A trial in few words: variant, decoder where it is not the usual one, searched knobs, seed."""
    decoder = plan.build().decoder.label
    parts = [plan.variant]
    if plan.kind == "baseline" or plan.variant == "language_model":
        parts.append(decoder)
    if plan.label:
        parts.append(plan.label)
    if plan.kind != "trial" or not plan.searched:
        parts.append(f"seed {plan.seed}")
    return " ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as people say it: "45 s", "3 min 20 s", "2 h 5 min"."""
    whole = max(1, round(seconds))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _figures(trial: FinishedTrial) -> str:
    if trial.nll is None or trial.kl is None or trial.nll_plus_kl is None:
        return "failed"
    return f"NLL {trial.nll:.2f} + KL {trial.kl:.2f} = {trial.nll_plus_kl:.2f}"
