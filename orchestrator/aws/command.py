"""`python -m orchestrator.cluster init`: the account's pieces made, and a `cluster.yaml` filled in."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.aws.answers import GPU, NAME, WORKERS, Answers
from orchestrator.spec.errors import SpecError

if TYPE_CHECKING:
    from orchestrator.aws.account import Account
    from orchestrator.aws.pieces import Piece

_ASKED = {
    "region": "AWS region, such as eu-central-1",
    "source": "Address range that may come in by SSH: your own address with /32, or your office's",
}


def init(
    name: Annotated[str, typer.Option(help="Of the cluster and all that is made.")] = NAME,
    region: Annotated[
        str | None, typer.Option(help="AWS region.", envvar=["AWS_REGION", "AWS_DEFAULT_REGION"])
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Address range that may come in by SSH.", metavar="CIDR")
    ] = None,
    gpu: Annotated[str, typer.Option(help="Instance type of the workers.")] = GPU,
    workers: Annotated[int, typer.Option(help="At most so many at a time.")] = WORKERS,
    price: Annotated[
        float | None,
        typer.Option(help="Most that an hour of a worker may cost, US$. \\[default: on-demand's]"),
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="Machine image. \\[default: AWS's newest for GPUs]", metavar="AMI")
    ] = None,
    vpc: Annotated[str | None, typer.Option(help="Network. \\[default: the account's own]")] = None,
    to: Annotated[Path, typer.Option(help="File to write.")] = Path("my-cluster.yaml"),
    plan: Annotated[bool, typer.Option("--plan", help="Show what would be made, and end.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before anything is changed.")] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove what was made, but for the sweeps and their network.")
    ] = False,
    data: Annotated[
        bool, typer.Option("--data", help="With --remove: the sweeps and MLflow's database, too.")
    ] = False,
) -> None:
    """Make what the cluster needs in your AWS account, and write a filled-in cluster.yaml.

    Shows what is there and what is missing, and asks before it changes anything; a second time it changes
    nothing.
    Takes AWS's own credentials (AWS_PROFILE, …)."""
    from botocore.exceptions import BotoCoreError, ClientError

    from orchestrator.aws.account import Account, Identifiers
    from orchestrator.aws.template import filled

    template = Path.cwd() / "cluster.yaml"
    if not template.is_file():
        raise SpecError(f"this folder must be the checkout of this project, got {Path.cwd()}")
    if data and not remove:
        raise SpecError("--data: must come with --remove, got it alone")
    given = {"region": region, "source": source}
    if remove and source is None:
        given["source"] = "127.0.0.1/32"  # nobody needs to know it to remove the group
    answers = Answers(name, _asked("region", given), _asked("source", given), gpu, workers, price, image, vpc)
    if not remove and not plan and to.exists():
        raise SpecError(f"--to: must be a new file, got one that is there: {to}")
    text = template.read_text(encoding="utf-8")
    filled(
        text, answers, Identifiers("", "", "", "", "", "")
    )  # a file that cannot be filled in is said first
    try:
        account = Account(answers)
        if remove:
            _remove(account, data=data, yes=yes, plan=plan)
            return
        todo = _show(account)
        if plan:
            return
        if todo and not yes and not _sure("make this?"):
            raise typer.Exit(1)
        for piece, found in account.make():
            _line("there", piece, found)
        identifiers = account.identifiers
        assert identifiers is not None
        _write(filled(text, answers, identifiers), to)
    except (BotoCoreError, ClientError) as error:
        raise SpecError(f"AWS: must do what it is asked for in {answers.region}, got: {error}") from None


def _asked(option: str, given: dict[str, str | None]) -> str:
    """The value; asked for on a terminal."""
    if (value := given[option]) is not None:
        return value
    if not sys.stdin.isatty():
        raise SpecError(f"--{option}: must be given where nobody can be asked, got nothing")
    return str(typer.prompt(_ASKED[option]))


def _sure(question: str) -> bool:
    if not sys.stdin.isatty():
        raise SpecError("--yes: must be given where nobody can be asked, got neither it nor a terminal")
    return typer.confirm(question)


def _show(account: Account) -> bool:
    """What is there, and what would be done; whether there is anything to do."""
    todo = False
    for piece in account.pieces:
        found = piece.found()
        change = piece.changes() if found else None
        todo = todo or found is None or change is not None
        _line("missing" if found is None else "changed" if change else "there", piece, found, change)
    typer.echo(f"image    machine image for head and workers ({account.image})")
    typer.echo(f"workers  {account.answers.gpu}, or else {account.fallback}, as spot instances")
    return todo


def _line(state: str, piece: Piece, found: str | None = None, change: str | None = None) -> None:
    now = f"; now {change}" if change else ""
    typer.echo(f"{state:8} {piece.what}{now}{f' ({found})' if found else ''}")


def _write(text: str, to: Path) -> None:
    try:
        to.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SpecError(f"--to: must be a file that can be written, got {error.strerror}: {to}") from None
    place = os.path.relpath(to)
    typer.echo(f"wrote {place}; next:")
    typer.echo("  ray get-auth-token --generate   # once; then chmod 600 ~/.ray/auth_token")
    typer.echo(f"  RAY_AUTH_MODE=token ray up {place} --disable-usage-stats")


def _remove(account: Account, *, data: bool, yes: bool, plan: bool) -> None:
    removed = account.removed(data=data)
    for piece in account.pieces:
        if (found := piece.found()) is not None:
            _line("removed" if piece in removed else "stays", piece, found)
    if plan or not removed:
        return
    if not yes and not _sure("remove this for good?" if data else "remove this?"):
        raise typer.Exit(1)
    for piece in account.remove(data=data):
        _line("gone", piece)
