"""How many trials fit on a Ray: on its nodes as they are, and on those that its launcher may still start.

What `ray up` may start stands in a file that it leaves on the head. Elsewhere (KubeRay, machines that join by
hand) nobody says whether there will be more nodes; then one trial more than fits is asked for, and a cluster
that can grow does, a node at a time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import yaml

from orchestrator.common.wording import plural
from orchestrator.spec.sections import ACCELERATOR, Resources

LAUNCHERS_FILE = Path("~/ray_bootstrap_config.yaml")
"""Where `ray up` leaves its configuration on the head, the resources of each node type filled in."""


@dataclass(frozen=True)
class Node:
    """What a node offers to trials."""

    cpus: float
    gpus: float
    kinds: tuple[str, ...] = ()
    """Of its GPUs."""

    @classmethod
    def of(cls, resources: Mapping[str, float]) -> Node:
        """From Ray's names."""
        kinds = (name.removeprefix(ACCELERATOR) for name in resources if name.startswith(ACCELERATOR))
        return cls(float(resources.get("CPU", 0.0)), float(resources.get("GPU", 0.0)), tuple(sorted(kinds)))

    def fits(self, trial: Resources) -> int:
        """So many trials at a time."""
        if trial.accelerator is not None and trial.accelerator not in self.kinds:
            return 0
        fits = [self.cpus / trial.cpus]
        if trial.share:
            fits.append(self.gpus / trial.share)
        return int(min(fits) + 1e-9)

    def __str__(self) -> str:
        cpus, gpus = (int(each) if each == int(each) else each for each in (self.cpus, self.gpus))
        return f"{cpus} CPU, {gpus} GPU{_in_brackets(self.kinds)}"


@dataclass(frozen=True)
class NodeTypes:
    """The workers that a launcher may start: how many of each, and how many in all; beside the head."""

    workers: Sequence[tuple[Node, int]]
    most: int
    head: Node = Node(0, 0)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> NodeTypes:
        """From the configuration of `ray up`; a type without a limit of its own has that of all."""
        most = int(config.get("max_workers", 2))
        kinds = dict(config.get("available_node_types") or {})
        head = kinds.pop(config.get("head_node_type"), None) or {}
        workers = [
            (Node.of(kind.get("resources") or {}), int(kind.get("max_workers", most)))
            for kind in kinds.values()
        ]
        return cls(workers, most, Node.of(head.get("resources") or {}))

    @classmethod
    def here(cls, file: Path = LAUNCHERS_FILE) -> NodeTypes | None:
        """Those of the cluster whose head this is; None where no launcher left a file that can be read, or
        one that says what each type has. Of machines that were there before it the launcher knows nothing."""
        try:
            config = yaml.safe_load(file.expanduser().read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            return None
        kinds = (config.get("available_node_types") or {}).values() if isinstance(config, dict) else ()
        return cls.of(config) if kinds and all(kind.get("resources") for kind in kinds) else None

    def fits(self, trial: Resources) -> int:
        """So many trials at a time on the workers when all are there, the types that hold most first."""
        left, found = self.most, 0
        for held, count in sorted(((node.fits(trial), count) for node, count in self.workers), reverse=True):
            found += held * min(count, left)
            left -= min(count, left)
        return found


@dataclass(frozen=True)
class Capacity:
    """A Ray at one moment.

    Attributes:
        nodes: that are alive.
        types: what may be started beside; None where nobody says.
        grows: whether there may be more nodes at all.
    """

    nodes: Sequence[Node]
    types: NodeTypes | None = None
    grows: bool = False

    @classmethod
    def now(cls, *, joined: bool, types: NodeTypes | None = None) -> Capacity:
        """Of the Ray that this process is connected to; `joined` if it is a cluster that others run."""
        nodes = [Node.of(node["Resources"]) for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        return cls(nodes, types, grows=joined)

    @classmethod
    def here(cls) -> Capacity:
        """Of the Ray that this process is connected to: that of others where RAY_ADDRESS is set."""
        joined = bool(os.environ.get("RAY_ADDRESS"))
        return cls.now(joined=joined, types=NodeTypes.here() if joined else None)

    def again(self) -> Capacity:
        """The same Ray, as it is by now."""
        return self.now(joined=self.grows, types=self.types)

    @property
    def known(self) -> list[Node]:
        """The nodes that are there, and one of each type that may come."""
        return [*self.nodes, *(node for node, _ in (self.types.workers if self.types else ()))]

    def fits(self, trial: Resources) -> int:
        """Trials that fit as it is."""
        return sum(node.fits(trial) for node in self.nodes)

    def asks_for(self, trial: Resources) -> int:
        """Trials that it should have at a time, so that it grows as far as it may; at least 1."""
        fits = self.fits(trial)
        if self.types is not None:
            return max(1, fits, self.types.head.fits(trial) + self.types.fits(trial))
        return max(1, fits + self.grows)

    def problem(self, trial: Resources) -> str | None:
        """Why no trial can ever run; None where one can, or where nobody knows."""
        if self.fits(trial) or (self.types is None and self.grows):
            return None
        if self.types is not None and self.types.fits(trial):
            return None
        return f"got {_asked(trial)}; {self.there_is()}"

    def waiting(self, trial: Resources) -> str:
        """What is waited for while no trial runs."""
        return f"a trial asks for {_asked(trial)}; {self.there_is()}"

    def there_is(self) -> str:
        """The nodes, and the types that may come, for people."""
        alive = ", ".join(f"{count} × {node}" for node, count in _counted(self.nodes)) or "none"
        text = f"{plural(len(self.nodes), 'node')} ({alive})"
        if self.types is not None:
            kinds = ", ".join(str(node) for node, _ in self.types.workers) or "none"
            text += f", up to {plural(self.types.most, 'worker')} may be started ({kinds})"
        return text


def _asked(trial: Resources) -> str:
    kinds = () if trial.accelerator is None else (trial.accelerator,)
    return f"{trial.cpus:g} CPU, {trial.share:g} GPU{_in_brackets(kinds)}"


def _in_brackets(kinds: Sequence[str]) -> str:
    return f" ({', '.join(kinds)})" if kinds else ""


def _counted(nodes: Sequence[Node]) -> list[tuple[Node, int]]:
    return [(node, list(nodes).count(node)) for node in dict.fromkeys(nodes)]
