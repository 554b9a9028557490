"""The command: `python -m orchestrator.report SWEEP [SWEEP …]`: reports of recorded sweeps, and comparisons.

All is read from MLflow: the sweeps' folders may be gone. Imports what it needs when it needs it.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.common.commands import from_here
from orchestrator.common.home import do_without_home
from orchestrator.common.statuses import Status
from trainables.common.output import run

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.reports.stored_reports import StoredReports

_WIDTH = 100
_LONGEST_NAME = 120
_EPILOG = """
[bold]Examples[/bold]

  The tables and verdicts of a sweep once more:

    python -m orchestrator.report embedded-20260131-120000

  Two sweeps on one page, with attainment surfaces, tests and indicators:

    python -m orchestrator.report short long --format html

  From a server, for a program:

    python -m orchestrator.report short long --format json --tracking-uri http://mlflow:5000

[dim]Exit status: 0 done, 1 the output was lost, 2 a mistake in what was asked for, 130 interrupted.[/dim]
"""

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


class Form(StrEnum):
    """What a report is written as."""

    TABLE = "table"
    HTML = "html"
    MD = "md"
    CSV = "csv"
    JSON = "json"


@app.command(epilog=_EPILOG)
def main(
    sweeps: Annotated[
        list[str], typer.Argument(metavar="SWEEP", help="Names of recorded sweeps; several are compared.")
    ],
    format_: Annotated[
        Form,
        typer.Option("--format", help="html: a page to explore; csv: the configurations; json: all figures."),
    ] = Form.TABLE,
    output: Annotated[
        Path | None,
        typer.Option(
            help="File to write. [dim]\\[default: standard output; of a page report-SWEEP….html][/dim]",
            metavar="PATH",
            show_default=False,
        ),
    ] = None,
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            help="MLflow's address; also $MLFLOW_TRACKING_URI. [dim]\\[default: sqlite:///mlflow.db][/dim]",
            metavar="URI",
            show_default=False,
        ),
    ] = None,
    all_rows: Annotated[
        bool, typer.Option("--all-rows", help="Every configuration, not only those that matter.")
    ] = False,
) -> None:
    """Draw the report of a sweep again from MLflow alone, or compare sweeps."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    do_without_home()
    from orchestrator.common.problems import StoreError
    from orchestrator.spec.errors import SpecError

    try:
        _check(sweeps, output)
        reports = _read(sweeps, tracking_uri)
        _write(reports, format_, output, all_rows=all_rows)
    except (SpecError, StoreError) as error:
        for line in str(error).splitlines():
            typer.echo(f"error: {line}", err=True)
        raise typer.Exit(Status.BAD_INPUT) from None
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(Status.INTERRUPTED) from None


def _check(sweeps: list[str], output: Path | None) -> None:
    """What is wrong with the command before anything is read."""
    from orchestrator.common.problems import StoreError

    twice = [name for index, name in enumerate(sweeps) if name in sweeps[:index]]
    if twice:
        raise StoreError(f"SWEEP must name different sweeps, got {twice[0]!r} twice")
    if output is not None and (output.is_dir() or not output.parent.is_dir()):
        got = "a folder" if output.is_dir() else f"no folder {output.parent}"
        raise StoreError(f"--output must be a file in a folder that exists, got {got}: {output}")


def _read(sweeps: list[str], tracking_uri: str | None) -> StoredReports:
    from rich.console import Console

    from orchestrator.reports.stored_reports import StoredReports
    from orchestrator.spec.sweep_spec import SweepSpec

    uri = SweepSpec.load(None, {"tracking_uri": tracking_uri}).tracking_uri
    notes = Console(stderr=True, soft_wrap=True)
    with notes.status("opening MLflow") as status:  # seen on a terminal only
        from orchestrator.recorded.sweep_reader import SweepReader

        reader = SweepReader(uri)
        stored = []
        for name in sweeps:
            status.update(f"reading {name}")
            stored.append(reader.read(name))
        status.update("computing")
        reports = StoredReports.of(stored)
    for sweep in stored:
        for note in sweep.notes:
            notes.print(f"note: {sweep.name}: {note}", style="yellow", markup=False, highlight=False)
    return reports


def _write(reports: StoredReports, form: Form, output: Path | None, *, all_rows: bool) -> None:
    from orchestrator.common.problems import StoreError
    from orchestrator.reports.formats import FORMATS

    if form is Form.HTML and output is None:
        output = _page_path(reports)
    try:
        if form is Form.TABLE:
            _show(reports, output, all_rows=all_rows)
        elif output is None:
            typer.echo(FORMATS[form](reports, all_rows), nl=False)
        else:
            output.write_text(FORMATS[form](reports, all_rows), encoding="utf-8")
    except OSError as error:
        if output is None or isinstance(error, BrokenPipeError):
            raise
        raise StoreError(
            f"--output must be a file that can be written, got {error.strerror!r} for {output}"
        ) from error
    if output is not None:
        typer.echo(from_here(output))


def _page_path(reports: StoredReports) -> Path:
    names = "-".join(one.sweep.name for one in reports.reports)
    return Path(f"report-{names[:_LONGEST_NAME]}.html")


def _show(reports: StoredReports, output: Path | None, *, all_rows: bool) -> None:
    from rich.console import Console

    from orchestrator.reports.formats import show

    if output is None:
        show(reports, Console(), all_rows=all_rows)
        return
    with output.open("w", encoding="utf-8") as file:
        console: Console = Console(file=file, width=_WIDTH)
        show(reports, console, all_rows=all_rows)


if __name__ == "__main__":
    run(app)
