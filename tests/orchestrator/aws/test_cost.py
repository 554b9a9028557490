"""`cluster cost` against a simulated AWS (moto); the price list, which it lacks, by botocore's stubber."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from botocore.stub import ANY, Stubber
from typer.testing import CliRunner, Result

from orchestrator.aws import prices as module
from orchestrator.aws.prices import Machines, Prices
from orchestrator.cluster.__main__ import app
from tests.paths import ROOT
from tests.test_cluster_yaml import filled

CONFIG = filled()


def said(tmp_path: Path, *arguments: str, config: Any = CONFIG) -> Result:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(config))
    return CliRunner().invoke(app, ["cost", str(file), *arguments])


def product(*dollars: float) -> str:
    dimensions = {str(i): {"pricePerUnit": {"USD": f"{each:.10f}"}} for i, each in enumerate(dollars)}
    return json.dumps({"terms": {"OnDemand": {"x": {"priceDimensions": dimensions}}}})


def test_the_machines_of_the_file() -> None:
    found = {name: Machines.of(CONFIG, name) for name in CONFIG["available_node_types"]}
    assert found == {
        "head": Machines("m5.xlarge", 1, spot=False, disk_gb=150),
        "gpu_worker": Machines("g4dn.xlarge", 4, spot=True, disk_gb=150),
        "gpu_worker_fallback": Machines("g4dn.2xlarge", 4, spot=True, disk_gb=150),
    }


@pytest.mark.parametrize(
    ("listed", "hour"),
    [([product(0.23)], (0.23, 0.23)), ([product(0.23), product(0.5)], None), ([], None)],
    ids=["one", "not a single one", "none"],
)
def test_on_demand_prices_are_aws_own(listed: list[str], hour: tuple[float, float] | None) -> None:
    prices = Prices("eu-central-1")
    with Stubber(prices._pricing) as stubber:
        asked = {"ServiceCode": "AmazonEC2", "Filters": ANY}
        stubber.add_response("get_products", {"PriceList": listed}, asked)
        assert prices.hour(Machines("m5.xlarge", 1, spot=False, disk_gb=150)) == hour


def test_spot_prices_are_the_latest_of_each_zone_and_never_above_the_limit() -> None:
    prices = Prices("eu-central-1")
    history = [
        ("a", "0.30", 9),
        ("a", "0.20", 11),
        ("b", "0.25", 8),
    ]
    response = {
        "SpotPriceHistory": [
            {
                "AvailabilityZone": zone,
                "SpotPrice": price,
                "Timestamp": datetime(2026, 11, 29, hour, tzinfo=UTC),
            }
            for zone, price, hour in history
        ]
    }
    for limit, expected in ((None, (0.20, 0.25)), (0.22, (0.20, 0.22))):
        with Stubber(prices._ec2) as stubber:
            stubber.add_response("describe_spot_price_history", response)
            machines = Machines("g4dn.xlarge", 4, spot=True, disk_gb=150, limit=limit)
            assert prices.hour(machines) == expected


def test_an_hour_of_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"m5.xlarge": (0.23, 0.23), "g4dn.xlarge": (0.2, 0.25), "g4dn.2xlarge": (0.3, 0.4)}
    monkeypatch.setattr(module.Prices, "hour", lambda _, machines: found[machines.instance_type])
    monkeypatch.setattr(module.Prices, "disk_hour", lambda _: 0.0001)
    lines = said(tmp_path).stdout.splitlines()
    assert lines[:7] == [
        "text-vae-sweep in eu-central-1, US$ an hour at today's prices",
        "         1 × m5.xlarge      on demand  0.230 each",
        "   up to 4 × g4dn.xlarge    spot       0.200 to 0.250 by zone each",
        "   up to 4 × g4dn.2xlarge   spot       0.300 to 0.400 by zone each",
        "     disks   150 GB each is 0.015",
        "while nothing runs (the head, its disk): 0.245 an hour",
        "with 4 workers, the most that may be there: 1.905 an hour",  # 0.245 + 4 × 0.415
    ]


def test_prices_that_aws_does_not_tell_are_unknown(tmp_path: Path) -> None:
    done = said(tmp_path)  # moto knows spot prices alone
    assert done.exit_code == 0
    assert "1 × m5.xlarge      on demand  not told each" in done.stdout
    assert "up to 4 × g4dn.xlarge    spot       0.000 each" in done.stdout
    assert "while nothing runs (the head, its disk): unknown an hour" in done.stdout


def test_what_has_been_billed(tmp_path: Path) -> None:
    assert "nothing under the tag ray-cluster-name" in said(tmp_path, "--since", "2026-11-01").stdout
    month = {
        "TimePeriod": {"Start": "2026-11-01", "End": "2026-11-29"},
        "Estimated": True,
        "Groups": [
            {"Keys": [service], "Metrics": {"UnblendedCost": {"Amount": amount, "Unit": "USD"}}}
            for service, amount in (("EBS", "1.5"), ("EC2", "4.25"))
        ],
    }
    results = {"results": [{"ResultsByTime": [month, month], "DimensionValueAttributes": []}]}
    requests.post("http://motoapi.amazonaws.com/moto-api/static/ce/cost-and-usage-results", json=results)
    lines = said(tmp_path, "--since", "2026-10-01").stdout.splitlines()
    assert lines[-3:] == ["billed since 2026-10-01: 11.500", "  8.500 EC2", "  3.000 EBS"]


def test_the_bill_is_asked_for_this_cluster_alone() -> None:
    prices = Prices("eu-central-1")
    with Stubber(prices._bills) as stubber:
        asked = {
            "TimePeriod": ANY,
            "Granularity": "MONTHLY",
            "Metrics": ["UnblendedCost"],
            "Filter": {"Tags": {"Key": "ray-cluster-name", "Values": ["mine"]}},
            "GroupBy": [{"Type": "DIMENSION", "Key": "SERVICE"}],
        }
        stubber.add_response("get_cost_and_usage", {"ResultsByTime": []}, asked)
        assert prices.billed("mine", date(2026, 11, 1)) == {}


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"provider": {"type": "local"}}, "must be a cluster on AWS, got local"),
        (yaml.safe_load((ROOT / "cluster.yaml").read_text()), "must be filled in, got <FILL-IN: region"),
        ([1, 2], "must be the file of `ray up`, got something else"),
    ],
    ids=["local", "as shipped", "a list"],
)
def test_another_file_is_refused(tmp_path: Path, config: Any, problem: str) -> None:
    done = said(tmp_path, config=config)
    assert (done.exit_code, done.stdout) == (2, "")
    assert problem in done.stderr


def test_no_file_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["cost", str(tmp_path / "none.yaml")])
    assert (done.exit_code, "No such file" in done.stderr) == (2, True)
