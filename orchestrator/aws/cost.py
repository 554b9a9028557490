"""`python -m orchestrator.cluster cost`: what a cluster costs an hour, and what it has cost."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from orchestrator.spec.errors import SpecError

if TYPE_CHECKING:
    from orchestrator.aws.prices import Machines, Prices


def cost(
    file: Annotated[Path, typer.Argument(help="The file of `ray up`.")] = Path("my-cluster.yaml"),
    since: Annotated[
        datetime | None,
        typer.Option(help="Ask what has been billed since then, too.", formats=["%Y-%m-%d"], metavar="DATE"),
    ] = None,
) -> None:
    """Say what the cluster costs an hour at today's prices, and with --since what it has cost.

    Takes AWS's own credentials (AWS_PROFILE, …). The bill is a day late, and AWS takes a cent to tell it."""
    from botocore.exceptions import BotoCoreError, ClientError

    from orchestrator.aws.prices import Machines, Prices

    config = _config(file)
    kinds = {name: Machines.of(config, name) for name in config["available_node_types"]}
    region = config["provider"]["region"]
    try:
        prices = Prices(region)
        typer.echo(f"{config['cluster_name']} in {region}, US$ an hour at today's prices")
        _hours(kinds, config, prices)
        if since is not None:
            _billed(prices.billed(config["cluster_name"], since.date()), since.date())
    except (BotoCoreError, ClientError) as error:
        raise SpecError(f"AWS: must tell its prices in {region}, got: {error}") from None


def _config(file: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
        if config["provider"]["type"] != "aws":
            raise SpecError(f"FILE: must be a cluster on AWS, got {config['provider']['type']}: {file}")
        if "FILL-IN" in config["provider"]["region"]:
            raise SpecError(f"FILE: must be filled in, got {config['provider']['region']}: {file}")
    except SpecError:
        raise
    except OSError as error:
        raise SpecError(f"FILE: must be the file of `ray up`, got {error.strerror}: {file}") from None
    except (ValueError, KeyError, TypeError, yaml.YAMLError):
        raise SpecError(f"FILE: must be the file of `ray up`, got something else: {file}") from None
    found: dict[str, Any] = config
    return found


def _hours(kinds: dict[str, Machines], config: dict[str, Any], prices: Prices) -> None:
    """Each kind of machine, then the head alone and all at the most, with their disks."""
    head, most = config["head_node_type"], int(config["max_workers"])
    disk = prices.disk_hour()
    hours: dict[str, float | None] = {}
    for name, kind in sorted(kinds.items(), key=lambda item: item[0] != head):
        found = prices.hour(kind)
        hours[name] = None if found is None or disk is None else found[1] + kind.disk_gb * disk
        how = "spot" if kind.spot else "on demand"
        count = "1" if name == head else f"up to {kind.most}"
        typer.echo(f"  {count:>8} × {kind.instance_type:<14} {how:<10} {_range(found)} each")
    size = kinds[head].disk_gb
    typer.echo(f"  {'disks':>8}   {size} GB each is {_amount(None if disk is None else size * disk)}")
    workers = [hours[name] for name in kinds if name != head]
    dearest = None if None in workers else max(each for each in workers if each is not None)
    alone = hours[head]
    full = None if alone is None or dearest is None else alone + most * dearest
    typer.echo(f"while nothing runs (the head, its disk): {_amount(alone)} an hour")
    typer.echo(f"with {most} workers, the most that may be there: {_amount(full)} an hour")
    typer.echo(
        "beside that: the file system by what lies in it, public addresses, traffic out of the region;\n"
        "what a sweep will take: python -m orchestrator.sweep SPEC --plan, with the price of a GPU's hour\n"
        "in the spec (budget: {price: …}), where max_cost ends it, too"
    )


def _billed(billed: dict[str, float], since: date) -> None:
    if not any(billed.values()):
        typer.echo(
            f"billed since {since}: nothing under the tag ray-cluster-name; it has to be activated once,\n"
            "under Billing, Cost allocation tags, and counts from then on, a day late"
        )
        return
    typer.echo(f"billed since {since}: {_amount(sum(billed.values()))}")
    for service, amount in sorted(billed.items(), key=lambda item: -item[1]):
        typer.echo(f"  {_amount(amount)} {service}")


def _range(found: tuple[float, float] | None) -> str:
    if found is None:
        return "not told"
    low, high = (_amount(each) for each in found)
    return low if low == high else f"{low} to {high} by zone"


def _amount(amount: float | None) -> str:
    return "unknown" if amount is None else f"{amount:.3f}"
