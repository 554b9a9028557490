"""The command: `python -m orchestrator.sweep [SPEC] [options]`.

Imports what it needs when it needs it: help and what is wrong with a single field show at once, and every
other error of the user before Ray is loaded.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.common.home import do_without_home
from orchestrator.common.statuses import Status
from orchestrator.running.command import Action, carry_out
from trainables.common.output import run

_ACTIONS = ("spec", "resume", "go_on", "add_trials", "replay_outbox", "dry_run", "plan")
_WHAT, _HOW_MUCH, _WHERE, _RUN = "What is searched", "How much", "Where", "This run"
_EPILOG = """
[bold]Examples[/bold]

  Five variants on the embedded corpus, on a CPU:

    python -m orchestrator.sweep

  Your own text, 16 configurations a variant, two at a time on each GPU:

    python -m orchestrator.sweep --corpus data/yelp --trials 16 --gpus 0.5

  From a file, with a larger model, and only to see what it would do:

    python -m orchestrator.sweep spec.yaml --set hidden_size=256 --dry-run

  Go on after an interruption:

    python -m orchestrator.sweep --resume embedded-20260131-120000

  MLflow was down at the end; it is back:

    python -m orchestrator.sweep --replay-outbox embedded-20260131-120000

[dim]Exit status: 0 done, 1 trials failed or something was not delivered, 2 a mistake in what was asked for,
3 stopped by itself (resumable), 4 the folder or Ray is gone, 130 interrupted (resumable).[/dim]
"""

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


def _option(text: str, panel: str, default: str | None, *names: str, metavar: str | None = None) -> Any:
    """An option that says what holds without it: the file's value, or else this default."""
    note = f" [dim]\\[default: {default}][/dim]" if default else ""
    return typer.Option(*names, help=text + note, rich_help_panel=panel, show_default=False, metavar=metavar)


@app.command(epilog=_EPILOG)
def main(
    context: typer.Context,
    spec: Annotated[
        Path | None,
        typer.Argument(metavar="SPEC", help="YAML file; an option goes before what it says."),
    ] = None,
    corpus: Annotated[
        str | None,
        _option(
            "Folder, text file, ptb:PATH (yahoo, yelp, snli) or datasets:NAME.",
            _WHAT,
            "embedded",
            metavar="CORPUS",
        ),
    ] = None,
    max_sentences: Annotated[
        int | None, _option("Most training sentences.", _WHAT, "all", metavar="N")
    ] = None,
    deduplicate: Annotated[
        bool | None,
        typer.Option(
            "--deduplicate",
            help="Leave copies of a sentence in one split.",
            rich_help_panel=_WHAT,
            show_default=False,
        ),
    ] = None,
    variants: Annotated[
        str | None, _option("Names with commas between, or all.", _WHAT, "the first five", metavar="A,B,…")
    ] = None,
    set_: Annotated[
        list[str] | None,
        _option(
            "Fix a knob everywhere; repeatable.",
            _WHAT,
            None,
            "--set",
            metavar="KNOB=VALUE",
        ),
    ] = None,
    preset: Annotated[
        str | None, _option("Published procedure: reference.", _WHAT, "none", metavar="NAME")
    ] = None,
    objective: Annotated[
        str | None,
        _option("frontier: NLL and KL; elbo: their sum.", _WHAT, "frontier", metavar="WHICH"),
    ] = None,
    sampler: Annotated[
        str | None,
        _option("auto, gp, tpe, nsga2, random, grid or MODULE:CLASS.", _WHAT, "auto", metavar="NAME"),
    ] = None,
    kl_floor: Annotated[
        float | None, _option("Least KL of a feasible trial, nats.", _WHAT, "0.5", metavar="NATS")
    ] = None,
    trials: Annotated[
        int | None, _option("Configurations of each variant.", _HOW_MUCH, "3", metavar="N")
    ] = None,
    epochs: Annotated[
        str | None,
        _option("Epochs of each trial; auto: while validation improves.", _HOW_MUCH, "auto", metavar="N"),
    ] = None,
    baseline_seeds: Annotated[
        int | None, _option("Seeds of each baseline that is needed.", _HOW_MUCH, "5", metavar="N")
    ] = None,
    baseline_trials: Annotated[
        int | None,
        _option("Configurations of each, if ranges hold for all.", _HOW_MUCH, "as trials", metavar="N"),
    ] = None,
    replicates: Annotated[
        int | None, _option("Fresh seeds of each variant's best.", _HOW_MUCH, "3", metavar="N")
    ] = None,
    max_replicates: Annotated[
        int | None, _option("The same, while they do not decide.", _HOW_MUCH, "2 × replicates", metavar="N")
    ] = None,
    max_tokens: Annotated[
        float | None, _option("Begin no trial after so many words.", _HOW_MUCH, "no limit", metavar="N")
    ] = None,
    max_hours: Annotated[
        float | None, _option("The same in hours.", _HOW_MUCH, "no limit", metavar="HOURS")
    ] = None,
    max_gpu_hours: Annotated[
        float | None, _option("The same in hours of reserved GPUs.", _HOW_MUCH, "no limit", metavar="HOURS")
    ] = None,
    max_cost: Annotated[
        float | None, _option("The same in money, at --price.", _HOW_MUCH, "no limit", metavar="AMOUNT")
    ] = None,
    price: Annotated[
        float | None,
        _option("Of a GPU's hour, or without GPUs a CPU's.", _HOW_MUCH, "none", metavar="AMOUNT"),
    ] = None,
    deadline: Annotated[
        str | None, _option("Begin no trial after this time.", _HOW_MUCH, "none", metavar="ISO-TIME")
    ] = None,
    seed: Annotated[int | None, _option("Seed of everything random.", _HOW_MUCH, "0", metavar="N")] = None,
    cpus: Annotated[float | None, _option("CPUs of each trial.", _WHERE, "1", metavar="N")] = None,
    gpus: Annotated[
        str | None, _option("GPUs of each trial, such as 0.5.", _WHERE, "auto: what fits", metavar="N")
    ] = None,
    max_concurrent: Annotated[
        int | None, _option("Most trials at a time.", _WHERE, "what fits", metavar="N")
    ] = None,
    storage: Annotated[
        str | None, _option("Folder for all sweeps.", _WHERE, "sweeps", metavar="PATH")
    ] = None,
    models: Annotated[
        str | None,
        _option("Whose weights MLflow keeps: frontier, all, none.", _WHERE, "frontier", metavar="WHICH"),
    ] = None,
    tracking_uri: Annotated[
        str | None,
        _option("MLflow's address; also $MLFLOW_TRACKING_URI.", _WHERE, "sqlite:///mlflow.db", metavar="URI"),
    ] = None,
    name: Annotated[
        str | None, _option("Name of the sweep.", _RUN, "CORPUS-DATE-TIME", metavar="NAME")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(help="Go on with an earlier sweep and its spec.", rich_help_panel=_RUN, metavar="NAME"),
    ] = None,
    go_on: Annotated[
        bool,
        typer.Option(
            "--go-on",
            help="Start the sweep, or go on with it if it has begun.",
            rich_help_panel=_RUN,
        ),
    ] = False,
    add_trials: Annotated[
        tuple[int, str] | None,
        typer.Option(
            help="Go on with an earlier sweep, with so many trials more; --variants adds some.",
            rich_help_panel=_RUN,
            metavar="N NAME",
            show_default=False,
        ),
    ] = None,
    replay_outbox: Annotated[
        str | None,
        typer.Option(
            help="Deliver to MLflow what an earlier sweep could not.", rich_help_panel=_RUN, metavar="NAME"
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show spec, ranges and baselines; run nothing.", rich_help_panel=_RUN),
    ] = False,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="The same with time, memory and cost, measured.", rich_help_panel=_RUN),
    ] = False,
) -> None:
    """Search text VAEs for the best trade of reconstruction against KL, beside the collapsed baseline."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of this process: the trials have the cores
    do_without_home()
    given = {"set" if key == "set_" else key: value for key, value in context.params.items()}
    options = {key: value for key, value in given.items() if key not in _ACTIONS}
    if sys.flags.optimize > 1:
        typer.echo("error: python -OO takes away the docstrings that Ray reads; use -O or neither", err=True)
        raise typer.Exit(Status.BAD_INPUT)
    try:
        action = Action(resume, go_on, add_trials, replay_outbox, dry_run, plan)
        raise typer.Exit(carry_out(spec, options, action))
    except KeyboardInterrupt:
        typer.echo("interrupted before the sweep began", err=True)
        raise typer.Exit(Status.INTERRUPTED) from None


if __name__ == "__main__":
    run(app)
