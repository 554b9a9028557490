"""Whether all nodes of a cluster reach a folder: trials write their checkpoints there from where they run."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.spec.errors import SpecError
from orchestrator.spec.sweep_spec import SweepSpec

PATIENCE_S = 60.0
"""A node that has not answered by then is not waited for."""


def check_shared(spec: SweepSpec) -> None:
    """Checks that the nodes that are there see what this process writes where checkpoints are kept.

    Raises:
        SpecError: naming those that do not, or why this process cannot write there.
    """
    if "://" in spec.checkpoint_folder:
        return
    folder = Path(spec.checkpoint_folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-") as probe:
            blind = _blind(probe.name)
    except OSError as error:
        raise SpecError(
            f"checkpoints must be a folder that can be written, got {error.strerror!r}: {folder}"
        ) from error
    if blind:
        raise SpecError(
            f"checkpoints must lie where all nodes reach them, got {folder}, which {', '.join(blind)} does"
            " not see: give a folder that they share, or an address such as s3://bucket/sweeps"
        )


def _blind(path: str) -> list[str]:
    """The addresses of the nodes that do not see the file."""
    look = ray.remote(num_cpus=0)(os.path.isfile)  # the nodes have none of this package
    asked: dict[ray.ObjectRef[bool], str] = {}
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked[look.options(scheduling_strategy=there).remote(path)] = str(node["NodeManagerAddress"])
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=PATIENCE_S)
    return sorted({asked[task] for task in answered if not _answer(task)})


def _answer(task: ray.ObjectRef[bool]) -> bool:
    """What the node says; one that is lost meanwhile has said nothing against it."""
    try:
        return ray.get(task)
    except RayTaskError:
        raise
    except RayError:
        return True
