"""The command: `python -m orchestrator.reproduce RUN [--run]`.

The command that trains a trial again goes to standard output, everything else to standard error, so that
`python -m orchestrator.reproduce RUN | sh` trains it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.common.statuses import Status
from orchestrator.common.wording import ABSENT, plural
from trainables.common.output import run as run_command

if TYPE_CHECKING:
    from orchestrator.recorded.reproduction import Agreement
    from orchestrator.recorded.trial import RecordedTrial

_ROOT = Path(__file__).resolve().parents[1]
_EPILOG = """
[dim]Exit status: 0 done (with --run: all figures agree), 1 some do not,
2 a mistake in what was asked for, 130 interrupted.[/dim]
"""

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command(epilog=_EPILOG)
def main(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A trial: the id of its MLflow run, or SWEEP/TRIALID.")
    ],
    execute: Annotated[
        bool, typer.Option("--run", help="Train it now and compare every figure with what is recorded.")
    ] = False,
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            help="MLflow's address; also $MLFLOW_TRACKING_URI. [dim]\\[default: sqlite:///mlflow.db][/dim]",
            show_default=False,
            metavar="URI",
        ),
    ] = None,
) -> None:
    """Print the one command that trains a sweep's trial again."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    try:
        raise typer.Exit(_reproduce(uri, run, execute=execute))
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(Status.INTERRUPTED) from None


def _reproduce(tracking_uri: str, run: str, *, execute: bool) -> int:
    from orchestrator.common.environment import Environment
    from orchestrator.recorded.reproduction import cautions, command_of
    from orchestrator.recorded.trial_reader import recorded_trial

    try:
        trial = recorded_trial(tracking_uri, run)
        command = command_of(trial)
    except ValueError as error:  # of the run, its spec, or a variant that is no more
        return _refuse(str(error))
    for caution in cautions(trial, Environment.here()):
        typer.echo(f"note: {caution}", err=True)
    if problem := _missing_gpu(trial):
        if execute:
            return _refuse(problem)
        typer.echo(f"note: {problem}", err=True)
    typer.echo(command)
    return _run(trial) if execute else Status.DONE


def _missing_gpu(trial: RecordedTrial) -> str | None:
    if not trial.spec.resources.share:
        return None
    import torch

    if torch.cuda.is_available():
        return None
    return (
        "the trial ran on a GPU, so there must be one, got none on this machine"
        " (with --device cpu the printed command trains without one, to other digits)"
    )


def _run(trial: RecordedTrial) -> int:
    from orchestrator.recorded.reproduction import DIVERGED, agreements, arguments_of, module_of

    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "figures.json")
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        status = subprocess.run(
            [sys.executable, "-m", module_of(trial), *arguments_of(trial), "--json", str(file)],
            env={**os.environ, "PYTHONPATH": path},
            check=False,
        ).returncode
        if status == Status.BAD_INPUT:
            return Status.BAD_INPUT
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
    if not text:
        typer.echo(f"the training ended with status {status} and left no figures to compare", err=True)
        return Status.PARTLY
    record: dict[str, Any] = json.loads(text)
    rows = agreements(trial, record)
    if rows:
        _show(rows)
    verdict, status = _verdict(rows, len(record["history"]), not record["final"], trial.failure == DIVERGED)
    typer.echo(verdict)
    return status


def _verdict(rows: list[Agreement], epochs: int, diverged: bool, had_diverged: bool) -> tuple[str, int]:
    """The last line and the exit status."""
    wrong = sum(row.differs_at is not None for row in rows)
    if diverged != had_diverged:
        return (
            "it diverged now, and had not" if diverged else "it had diverged, and did not now"
        ), Status.PARTLY
    if wrong:
        return f"{wrong} of {len(rows)} metrics differ", Status.PARTLY
    if diverged:
        return f"it diverged again, after {plural(epochs, 'whole epoch')}", Status.DONE
    if not rows:
        return "nothing is recorded to compare with", Status.PARTLY
    return (
        f"all {len(rows)} metrics agree to the last digit, in each of {plural(epochs, 'epoch')}",
        Status.DONE,
    )


def _show(rows: list[Agreement]) -> None:
    """A row a metric; where it differs, the values at the first epoch where it does."""
    cells = [("metric", "recorded", "now", "agrees")]
    cells += [
        (row.metric, _value(row.recorded), _value(row.now),
         "yes" if row.differs_at is None else f"no, at epoch {row.differs_at}")
        for row in rows
    ]  # fmt: skip
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    typer.echo()
    for metric, recorded, now, agrees in cells:
        typer.echo(f"{metric:<{widths[0]}}  {recorded:>{widths[1]}}  {now:>{widths[2]}}  {agrees}")


def _value(value: float | None) -> str:
    return ABSENT if value is None else repr(value)


def _refuse(problem: str) -> int:
    for line in problem.splitlines():
        typer.echo(f"error: {line}", err=True)
    return Status.BAD_INPUT


if __name__ == "__main__":
    run_command(app)
