"""The rest of a sweep's record goes to MLflow: a bar on a terminal, and what is said of what could not go."""

from __future__ import annotations

import shlex

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from orchestrator.common.commands import sweep_command
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.tracking.delivery.outbox import REFUSED
from orchestrator.tracking.delivery.outcome import Delivery
from orchestrator.tracking.tracker import MlflowTracker

PATIENCE_S = 60.0
"""So long the end of a sweep waits for MLflow while nothing arrives there."""
SILENT_S = 5.0
"""And so long without a word."""


def deliver(tracker: MlflowTracker, console: Console, patience: float = PATIENCE_S) -> Delivery:
    """Delivers what waits until Ctrl-C, ends the tracker, and shows that on a terminal meanwhile; says once
    that nothing arrives any more."""
    waiting = tracker.waiting()
    said = False
    with Progress(
        TextColumn("delivering to MLflow"), BarColumn(40), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, disable=not console.is_terminal, transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=waiting.points + waiting.others)

        def watch(settled: int, silent_s: float) -> None:
            nonlocal said
            bar.update(task, completed=settled)
            if silent_s >= SILENT_S and not said:
                said = True
                text = f"nothing arrives at MLflow: this waits {patience:.0f} s at most; Ctrl-C ends that"
                console.print(text, highlight=False)

        try:
            return tracker.close(patience, watch)
        except KeyboardInterrupt:
            return tracker.close(0)


def say_what_is_left(delivery: Delivery, spec: SweepSpec, console: Console) -> None:
    """Nothing if all has arrived; else what has not, why, and what to do about it."""
    if delivery.complete:
        return
    console.print(f"warning: MLflow: {delivery}", style="yellow", markup=False, highlight=False)
    if delivery.undelivered:
        command = shlex.join(sweep_command(spec.name, spec.storage, "--replay-outbox"))
        console.print(f"deliver them with: {command}", markup=False, highlight=False, soft_wrap=True)
    if delivery.points_refused or delivery.others_refused:
        path = spec.folder / REFUSED
        console.print(f"what was refused is in {path}", markup=False, highlight=False, soft_wrap=True)
