"""The command: `python -m orchestrator.cluster init | cost | submit | watch | logs | stop | list | fetch`.

A sweep as a job of a Ray cluster: the same submit begins it, or goes on with it after a stop or a lost head.
Imports what it needs when it needs it: help shows at once.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.aws.command import init
from orchestrator.aws.cost import cost
from orchestrator.common.commands import program
from orchestrator.common.statuses import Status
from orchestrator.spec.errors import SpecError
from trainables.common.output import run

if TYPE_CHECKING:
    from orchestrator.cluster.jobs import Jobs, SweepJob
    from orchestrator.spec.sweep_spec import SweepSpec

STORAGE, TRACKING_URI = "/store/sweeps", "http://127.0.0.1:5000"
_EPILOG = """
[bold]Examples[/bold]

  What the cluster needs in your AWS account, and a filled-in my-cluster.yaml:

    python -m orchestrator.cluster init --plan
    python -m orchestrator.cluster init

  What it costs an hour, and what it has cost:

    python -m orchestrator.cluster cost --since 2026-11-01

  Begin a sweep, or go on with it after a stop or a lost head:

    python -m orchestrator.cluster submit spec.yaml --cluster my-cluster.yaml

  Follow it, with the way to its MLflow open; end it as Ctrl-C would; take its report home:

    python -m orchestrator.cluster watch spec
    python -m orchestrator.cluster stop spec --cluster my-cluster.yaml
    python -m orchestrator.cluster fetch spec

  Without --cluster the way to the head must be open, in a terminal of its own:

    ray dashboard my-cluster.yaml

[dim]Exit status: 0 done, 2 a mistake in what was asked for, 4 the cluster is gone, 130 interrupted (the job
runs on); that of `logs` is the sweep's.[/dim]
"""

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Run sweeps as jobs of a Ray cluster: they outlive the connection that began them.",
    epilog=_EPILOG,
)
Address = Annotated[
    str, typer.Option(help="Of Ray's dashboard, through `ray dashboard cluster.yaml`.", metavar="URL")
]
Sweep = Annotated[str, typer.Argument(help="Name of the sweep.", metavar="NAME")]
Cluster = Annotated[
    Path | None,
    typer.Option(help="The file of `ray up`: the way to its head is opened for this.", metavar="FILE"),
]
_HERE = "http://127.0.0.1:8265"
_MINE = Path("my-cluster.yaml")


@contextlib.contextmanager
def _mistakes() -> Iterator[None]:
    """A mistake of the user's is a line and a status; Ctrl-C leaves the cluster alone."""
    from orchestrator.common.problems import reason

    try:
        yield
    except typer.Exit:
        raise
    except SpecError as error:
        for line in str(error).splitlines():
            typer.echo(f"error: {line}", err=True)
        raise typer.Exit(Status.BAD_INPUT) from None
    except (OSError, RuntimeError) as error:
        typer.echo(f"error: the cluster does not answer any more: {reason(error)}", err=True)
        raise typer.Exit(Status.GONE) from None
    except KeyboardInterrupt:
        typer.echo("interrupted; the cluster goes on by itself", err=True)
        raise typer.Exit(Status.INTERRUPTED) from None


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def guarded(*arguments: object, **options: object) -> None:
        with _mistakes():
            command(*arguments, **options)

    return guarded


app.command()(_guarded(init))
app.command()(_guarded(cost))


@app.command()
def submit(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="YAML file in the folder that is sent.")],
    name: Annotated[
        str | None,
        typer.Option(help="Name of the sweep. \\[default: the spec's, or its file's]", metavar="NAME"),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Folder that all nodes reach and that outlives the head."
            f" \\[default: the spec's, or {STORAGE}]",
            metavar="PATH",
        ),
    ] = None,
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            help=f"MLflow's address, as the head reaches it. \\[default: the spec's, or {TRACKING_URI}]",
            metavar="URI",
        ),
    ] = None,
    address: Address = _HERE,
    cluster: Cluster = None,
) -> None:
    """Begin the sweep, or go on with it, on the cluster's head.

    Sends this folder there, without what git ignores."""
    with _mistakes():
        folder = Path.cwd()
        whole = _checked(spec, folder, {"name": name, "storage": storage, "tracking_uri": tracking_uri})
        words = ["python", "-m", "orchestrator.sweep", os.path.relpath(spec), "--go-on"]
        words += ["--name", whole.name, "--storage", str(whole.storage), "--tracking-uri", whole.tracking_uri]
        environment = {"COLUMNS": "120", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with _jobs(address, cluster) as jobs:
            job = jobs.submit(whole.name, shlex.join(words), folder, environment)
        typer.echo(f"sweep {whole.name} is job {job.job_id}; it runs on without this connection")
        for what in ("watch" if cluster else "logs", "stop"):
            typer.echo(f"  {what}: {_again(what, whole.name, address, cluster)}")


def _checked(spec: Path, folder: Path, options: dict[str, str | None]) -> SweepSpec:
    """The spec, all of which is checked here, with name and places that hold on the cluster.

    Raises:
        SpecError: naming the line or the option of each problem.
    """
    from orchestrator.spec.sweep_spec import SweepSpec

    if not (folder / "orchestrator" / "sweep.py").is_file():
        raise SpecError(f"the folder that is sent must be the checkout of this project, got {folder}")
    if not spec.resolve().is_relative_to(folder.resolve()):
        raise SpecError(f"SPEC must lie in the folder that is sent, {folder}, got {spec}")
    own = SweepSpec.load(spec).model_fields_set
    usual = {"name": spec.stem, "storage": STORAGE, "tracking_uri": TRACKING_URI}
    whole = SweepSpec.load(
        spec, {key: options[key] or (None if key in own else value) for key, value in usual.items()}
    )
    if whole.storage.is_relative_to(folder):
        raise SpecError(f"storage must be the cluster's own folder, from / on, got {whole.storage}")
    return whole


@app.command()
def logs(sweep: Sweep, address: Address = _HERE, cluster: Cluster = None) -> None:
    """Follow what the sweep's last job prints, until it ends."""
    with _mistakes(), _jobs(address, cluster) as jobs:
        _follow(jobs, sweep)


@app.command()
def watch(sweep: Sweep, cluster: Cluster = _MINE) -> None:
    """Open the ways to the head, dashboard and MLflow, and follow the sweep until it ends."""
    with _mistakes(), _jobs(_HERE, cluster) as jobs:
        typer.echo(f"while this runs: MLflow {TRACKING_URI}  dashboard {_HERE}", err=True)
        _follow(jobs, sweep)


@app.command()
def fetch(
    sweep: Sweep,
    cluster: Cluster = _MINE,
    storage: Annotated[Path, typer.Option(help="Where the cluster keeps its sweeps.", metavar="PATH")] = Path(
        STORAGE
    ),
    to: Annotated[
        Path | None, typer.Option(help="Folder to make. \\[default: sweeps/NAME]", metavar="FOLDER")
    ] = None,
) -> None:
    """Copy the sweep's folder here: report, figures, models; the checkpoints stay there."""
    with _mistakes():
        from orchestrator.cluster.launcher import Launcher

        target = to or Path("sweeps", sweep)
        Launcher(cluster or _MINE).fetch(str(storage / sweep), target)
        typer.echo(f"{target}")


@app.command()
def stop(sweep: Sweep, address: Address = _HERE, cluster: Cluster = None) -> None:
    """End the sweep's job as Ctrl-C would, and wait until its report is written."""
    with _mistakes(), _jobs(address, cluster) as jobs:
        job = jobs.latest(sweep)
        if job.running:
            typer.echo(f"ending job {job.job_id}: its trials are saved, its report is written")
            job = jobs.stop(job)
        _say_ended(job)


@app.command("list")
def list_(address: Address = _HERE, cluster: Cluster = None) -> None:
    """List the sweeps' jobs of the cluster."""
    import time

    with _mistakes(), _jobs(address, cluster) as jobs:
        for job in jobs.all():
            began = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.began)) if job.began else "-"
            typer.echo(f"{job.job_id}  {job.status}  {began}")


@contextlib.contextmanager
def _jobs(address: str, cluster: Path | None) -> Iterator[Jobs]:
    """The jobs at the address, or of the cluster of that file, to which the way is open in this block."""
    from orchestrator.cluster.jobs import Jobs
    from orchestrator.cluster.launcher import Launcher

    if cluster is not None and address != _HERE:
        raise SpecError(f"--address: must be given without --cluster, got both, {address} and {cluster}")
    with Launcher(cluster).way() if cluster is not None else contextlib.nullcontext():
        yield Jobs(address)


def _follow(jobs: Jobs, sweep: str) -> None:
    job = jobs.follow(jobs.latest(sweep), lambda text: typer.echo(text, nl=False))
    _say_ended(job)
    raise typer.Exit(Status.GONE if job.exit_status is None else job.exit_status)


def _say_ended(job: SweepJob) -> None:
    """The last word: Ray's own, where the sweep had none."""
    status = "" if job.exit_status is None else f", exit status {job.exit_status}"
    typer.echo(f"job {job.job_id}: {job.status}{status}", err=True)
    if job.exit_status is None and job.status == "FAILED":
        typer.echo(f"  {job.message.splitlines()[0] if job.message else 'no reason given'}", err=True)
    if job.exit_status in (None, Status.STOPPED, Status.GONE, Status.INTERRUPTED):
        typer.echo("the same submit goes on with it", err=True)


def _again(what: str, sweep: str, address: str, cluster: Path | None) -> str:
    place = [] if address == _HERE else ["--address", address]
    place += [] if cluster is None else ["--cluster", str(cluster)]
    return shlex.join([program("python"), "-m", "orchestrator.cluster", what, sweep, *place])


if __name__ == "__main__":
    run(app)
