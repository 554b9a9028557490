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
        SpecError: naming those that do not.
    """
    if "://" in spec.checkpoint_folder:
        return
    folder = Path(spec.checkpoint_folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-") as probe:
        look = ray.remote(num_cpus=0)(os.path.isfile)  # the nodes have none of this package
        asked = {
            look.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(probe.name): str(node["NodeManagerAddress"])
            for node in ray.nodes()  # type: ignore[no-untyped-call]
            if node["Alive"]
        }
        answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=PATIENCE_S)
        blind = sorted({asked[task] for task in answered if not _answer(task)})
    if blind:
        raise SpecError(
            f"checkpoints must lie where all nodes reach them, got {folder}, which {', '.join(blind)} does"
            " not see: give a folder that they share, or an address such as s3://bucket/sweeps"
        )


def _answer(task: ray.ObjectRef[bool]) -> bool:
    """What the node says; one that is lost meanwhile has said nothing against it."""
    try:
        return ray.get(task)
    except RayTaskError:
        raise
    except RayError:
        return True
