"""What a cluster costs, as AWS says it: prices of today, and what has been billed. All in US dollars."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

HOURS_A_MONTH = 730
TAG = "ray-cluster-name"
"""With which Ray marks all machines of a cluster."""


@dataclass(frozen=True)
class Machines:
    """Machines of one kind of a cluster's file.

    Attributes:
        most: so many at a time.
        spot: whether they are spot instances, and `limit` the most that an hour of one may cost.
        disk_gb: of each.
    """

    instance_type: str
    most: int
    spot: bool
    disk_gb: int
    limit: float | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any], name: str) -> Machines:
        """Those of a node type in the configuration of `ray up`."""
        kind = config["available_node_types"][name]
        node = kind["node_config"]
        market = node.get("InstanceMarketOptions", {})
        limit = market.get("SpotOptions", {}).get("MaxPrice")
        return cls(
            node["InstanceType"],
            1 if name == config["head_node_type"] else min(kind["max_workers"], config["max_workers"]),
            market.get("MarketType") == "spot",
            sum(disk["Ebs"].get("VolumeSize", 0) for disk in node.get("BlockDeviceMappings", [])),
            None if limit is None else float(limit),
        )


class Prices:
    """Asks AWS. A price that it does not tell is None."""

    def __init__(self, region: str) -> None:
        self._region = region
        session = boto3.Session(region_name=region)
        self._ec2 = session.client("ec2")
        self._pricing = session.client("pricing", region_name="us-east-1")  # there is one for all regions
        self._bills = session.client("ce", region_name="us-east-1")

    def hour(self, machines: Machines) -> tuple[float, float] | None:
        """Of one machine, the least and the most of all zones."""
        if not machines.spot:
            price = self._listed(
                instanceType=machines.instance_type,
                operatingSystem="Linux",
                tenancy="Shared",
                preInstalledSw="NA",
                capacitystatus="Used",
            )
            return None if price is None else (price, price)
        found = self._ec2.describe_spot_price_history(
            InstanceTypes=[machines.instance_type],
            ProductDescriptions=["Linux/UNIX", "Linux/UNIX (Amazon VPC)"],
            StartTime=datetime.now(UTC),  # the ones that hold now
        )["SpotPriceHistory"]
        latest = {
            each["AvailabilityZone"]: each for each in sorted(found, key=lambda each: each["Timestamp"])
        }
        prices = [float(each["SpotPrice"]) for each in latest.values()]
        if machines.limit is not None:
            prices = [min(price, machines.limit) for price in prices]
        return (min(prices), max(prices)) if prices else None

    def disk_hour(self) -> float | None:
        """Of a GB of a machine's disk."""
        month = self._listed(productFamily="Storage", volumeApiName="gp3")
        return None if month is None else month / HOURS_A_MONTH

    def billed(self, cluster: str, since: date) -> dict[str, float]:
        """What stands on the bill under Ray's tag, by service, up to yesterday; asking costs a cent.

        Nothing stands there until the tag is activated as one for cost allocation.
        """
        answer = self._bills.get_cost_and_usage(
            TimePeriod={"Start": str(since), "End": str(date.today() + timedelta(days=1))},
            Granularity="MONTHLY",
            Metrics=["UnblendedCost"],
            Filter={"Tags": {"Key": TAG, "Values": [cluster]}},
            GroupBy=[{"Type": "DIMENSION", "Key": "SERVICE"}],
        )
        billed: dict[str, float] = {}
        for month in answer["ResultsByTime"]:
            for group in month["Groups"]:
                amount = float(group["Metrics"]["UnblendedCost"]["Amount"])
                billed[group["Keys"][0]] = billed.get(group["Keys"][0], 0.0) + amount
        return billed

    def _listed(self, **what: str) -> float | None:
        """The on-demand price of AWS's list; None where it cannot be had, or is not a single one."""
        filters = [
            {"Type": "TERM_MATCH", "Field": field, "Value": value}
            for field, value in {**what, "regionCode": self._region}.items()
        ]
        try:
            products = self._pricing.get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
        except (BotoCoreError, ClientError):
            return None
        prices = {price for product in products for price in _prices(json.loads(product))}
        return prices.pop() if len(prices) == 1 else None


def _prices(product: Mapping[str, Any]) -> Sequence[float]:
    terms = product.get("terms", {}).get("OnDemand", {}).values()
    return [
        float(dimension["pricePerUnit"]["USD"])
        for term in terms
        for dimension in term["priceDimensions"].values()
    ]
