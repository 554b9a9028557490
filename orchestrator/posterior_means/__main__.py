"""The command: `python -m orchestrator.posterior_means [options]`.

Draws the posterior mean space of He et al. (2019), figures 1 to 3: trains variants with a scalar z on the
synthetic corpus, side by side, and shows where the encoder's means are and where the model's own are.
Imports what it needs when it needs it: help shows at once.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.common.commands import from_here
from orchestrator.common.statuses import Status
from trainables.common.output import run

if TYPE_CHECKING:
    from orchestrator.posterior_means.plan import Plan
    from orchestrator.posterior_means.view import View

_WHAT, _HOW_MUCH, _WHERE = "What is trained", "How much", "Where"
_EPILOG = """
[bold]Examples[/bold]

  Joint against aggressive training, minutes on two cores:

    python -m orchestrator.posterior_means

  A glance:

    python -m orchestrator.posterior_means --sentences 3200 --every 20

  The same with annealing, over two epochs:

    python -m orchestrator.posterior_means --variants annealed,aggressive --set anneal_delay=0 --epochs 2

[dim]Exit status: 0 done, 1 a training failed, 2 a mistake in what was asked for, 130 interrupted.[/dim]
"""

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


def _option(text: str, panel: str, metavar: str, *names: str) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, metavar=metavar)


@app.command(epilog=_EPILOG)
def main(
    variants: Annotated[
        str, _option("Names with commas between; a process each.", _WHAT, "A,B,…")
    ] = "vanilla,aggressive",
    set_: Annotated[
        list[str] | None,
        _option("Fix a knob of the variants that have it; repeatable.", _WHAT, "KNOB=VALUE", "--set"),
    ] = None,
    output_range: Annotated[float, _option("Output weights of the oracle are U(±X).", _WHAT, "X")] = 1.0,
    epochs: Annotated[int, _option("Epochs of each training.", _HOW_MUCH, "N")] = 1,
    sentences: Annotated[
        int, _option("Training sentences; a sixteenth as many updates an epoch.", _HOW_MUCH, "N")
    ] = 16_000,
    every: Annotated[int, _option("Updates between two looks.", _HOW_MUCH, "N")] = 50,
    points: Annotated[int, _option("Test sentences to follow.", _HOW_MUCH, "N")] = 500,
    seed: Annotated[int, _option("Seed of everything random.", _HOW_MUCH, "N")] = 0,
    out: Annotated[
        Path, _option("Folder for the figures; files there are overwritten.", _WHERE, "PATH")
    ] = Path("posterior_means"),
) -> None:
    """Show whether inference lags: the encoder's means over the model's own, in the course of training."""
    try:
        from orchestrator.posterior_means.plan import make_plan
        from trainables.text.oracle import Oracle

        plan = make_plan(
            variants.split(","), set_ or [], Oracle(output_range=output_range),
            epochs=epochs, sentences=sentences, every=every, points=points, seed=seed,
        )  # fmt: skip
        _prepare(out)
        raise typer.Exit(_run(plan, out))
    except ValueError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(Status.BAD_INPUT) from None
    except KeyboardInterrupt:
        typer.echo("interrupted; nothing was written", err=True)
        raise typer.Exit(Status.INTERRUPTED) from None


def _prepare(out: Path) -> None:
    """Raises ValueError for a folder that cannot be written to, before anything is trained."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(f"--out must be a folder to write to, got {error.strerror!r}: {out}") from None


def _run(plan: Plan, out: Path) -> int:
    from rich.console import Console

    from orchestrator.posterior_means.run import FailedError, follow
    from orchestrator.posterior_means.view import verdict

    console = Console()
    began = time.perf_counter()
    try:
        view = follow(plan, console)
    except FailedError as error:
        typer.echo(f"error: {error}", err=True)
        return Status.PARTLY
    paths = _write(view, plan, out)
    head = f"\nafter {view.updates[-1]:,} updates, {len(view.component_N):,} test sentences:"
    console.print(head, markup=False, highlight=False)
    for variant in view.spaces:
        sentence = verdict(variant, view.at(variant, view.updates[-1]))
        console.print(f"• {sentence}", markup=False, highlight=False)
    shown = ", ".join(from_here(path) for path in paths)
    seconds = time.perf_counter() - began
    console.print(f"\n{shown} ({seconds:.0f} s)", markup=False, highlight=False, soft_wrap=True)
    return 0


def _write(view: View, plan: Plan, out: Path) -> list[Path]:
    """The figures and their numbers; the paths, the picture first."""
    from orchestrator.posterior_means import html as posterior_means_html
    from orchestrator.posterior_means import png as posterior_means_png
    from orchestrator.reports.tables.frontier import write_csv

    png, page, summary, points = (
        out / name for name in ("posterior_means.png", "posterior_means.html", "summary.csv", "points.csv")
    )
    title = f"Posterior mean space, synthetic corpus, {len(plan.corpus.train):,} sentences, seed {plan.seed}"
    posterior_means_png.write(view, title, png)
    posterior_means_html.write(view, title, page)
    write_csv(view.summary(), summary)
    write_csv(view.points(), points)
    return [png, page, summary, points]


if __name__ == "__main__":
    run(app)
