"""Answers: what only the user knows of a cluster, checked before anything is asked of AWS."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from orchestrator.spec.errors import SpecError

NAME, GPU, WORKERS = "text-vae-sweep", "g4dn.xlarge", 4


@dataclass(frozen=True)
class Answers:
    """See the module.

    Attributes:
        name: of the cluster, and of all that is made for it.
        region: such as "eu-central-1".
        source: the address range that may come in by SSH, such as "203.0.113.7/32".
        gpu: the instance type of the workers, which settles the kind of GPU and how many each has.
        workers: at most so many at a time.
        price: the most that an hour of a worker may cost, US dollars; None is the on-demand price.
        image: of both node types, "ami-…"; None takes the newest that AWS names.
        vpc: the network; None takes the account's default one.
    """

    name: str
    region: str
    source: str
    gpu: str = GPU
    workers: int = WORKERS
    price: float | None = None
    image: str | None = None
    vpc: str | None = None

    def __post_init__(self) -> None:
        """Raises SpecError with the rule and what was received."""
        for option, pattern, rule in (
            ("name", r"[a-z][a-z0-9-]{1,40}", "small letters, digits and dashes"),
            ("region", r"[a-z]{2}(-[a-z]+)+-\d", "such as eu-central-1"),
            ("gpu", r"[a-z][a-z0-9-]*\.[a-z0-9-]+", "an instance type such as g4dn.xlarge"),
            ("image", r"ami-[0-9a-f]{8,17}", "such as ami-0123456789abcdef0"),
            ("vpc", r"vpc-[0-9a-f]{8,17}", "such as vpc-0123456789abcdef0"),
        ):
            value = getattr(self, option)
            _require(value is None or re.fullmatch(pattern, value), option, rule, value)
        _require(self.workers >= 1, "workers", ">= 1", self.workers)
        _require(self.price is None or self.price > 0, "price", "> 0", self.price)
        try:
            bits = ipaddress.IPv4Network(self.source).prefixlen
        except ValueError:
            rule = "an address range such as 203.0.113.7/32"
            raise SpecError(f"--source: must be {rule}, got {self.source!r}") from None
        _require(bits >= 8, "source", "a range of /8 or smaller: your own", self.source)


def _require(condition: object, option: str, rule: str, value: object) -> None:
    if not condition:
        raise SpecError(f"--{option}: must be {rule}, got {value!r}")
