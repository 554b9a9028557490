"""`--replay-outbox NAME`: what a sweep's outbox still holds goes to MLflow, without running anything."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from orchestrator.common.problems import without_password
from orchestrator.common.statuses import Status
from orchestrator.running.delivery_view import deliver, say_what_is_left
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.tracking.delivery.outbox import FILE
from orchestrator.tracking.tracker import MlflowTracker

OPENING_S, PATIENCE_S = 20.0, 330.0
"""Seconds to wait for MLflow, and for the next thing to arrive there: a large model may take 300."""


def replay(spec: SweepSpec, console: Console, *, patience: float = PATIENCE_S) -> int:
    """Delivers it. A server that does not have the sweep gets all of it; what one has is not doubled.

    A sweep whose process was killed is noted to be KILLED, with its trials that had not ended.

    Returns:
        The exit status: 0 when MLflow has everything, 1 when something is left or was refused.

    Raises:
        SpecError: the sweep has no outbox.
    """
    _check(spec.folder)
    tracker = MlflowTracker(spec.tracking_uri, spec.name, spec.folder)
    with console.status("opening MLflow"):
        tracker.connect(OPENING_S)
    if not tracker.ended:
        tracker.finish_sweep(status="KILLED")
    delivery = deliver(tracker, console, patience)
    if delivery.complete:
        where = without_password(spec.tracking_uri)
        said = f"{delivery}; {where} has all of the sweep"
        console.print(said, highlight=False, markup=False, soft_wrap=True)
        return Status.DONE
    say_what_is_left(delivery, spec, console)
    return Status.PARTLY


def _check(folder: Path) -> None:
    if not (folder / FILE).is_file():
        raise SpecError(f"--replay-outbox: {folder} must hold {FILE}, got none: the sweep has logged nothing")
