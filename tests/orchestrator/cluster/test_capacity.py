"""How many trials fit, on nodes that are there and on those that may come, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from orchestrator.cluster.capacity import Capacity, Node, NodeTypes
from orchestrator.spec.sections import Resources
from tests.paths import ROOT

ONE_CPU = Resources(cpus=1)
QUARTER = Resources(cpus=1, gpus=0.25)
TWO_GPUS = Resources(cpus=1, gpus=2)
LARGE = Resources(cpus=1, gpus=1, accelerator="A100")
HEAD, CPUS, GPU = Node(0, 0), Node(4, 0), Node(4, 1)


@pytest.mark.parametrize(
    ("node", "trial", "fits"),
    [
        (HEAD, ONE_CPU, 0),
        (CPUS, ONE_CPU, 4),
        (CPUS, Resources(cpus=1.5), 2),
        (Node(1, 0), Resources(cpus=0.1), 10),
        (GPU, QUARTER, 4),
        (Node(2, 1), QUARTER, 2),
        (GPU, Resources(cpus=1, gpus=0.3), 3),
        (GPU, TWO_GPUS, 0),
        (Node(8, 2, ("A100",)), LARGE, 2),
        (Node(8, 2, ("A100", "A100-40G")), LARGE, 2),
        (Node(8, 2, ("T4",)), LARGE, 0),
        (Node(8, 2), LARGE, 0),
        (Node(8, 2, ("T4",)), QUARTER, 8),
    ],
)
def test_on_a_node(node: Node, trial: Resources, fits: int) -> None:
    assert node.fits(trial) == fits


def test_the_kind_of_a_nodes_gpus_is_rays() -> None:
    node = Node.of({"CPU": 4.0, "GPU": 1.0, "accelerator_type:T4": 1.0, "node:10.0.0.1": 1.0})
    assert node == Node(4, 1, ("T4",))
    assert Capacity([node]).problem(LARGE) == "got 1 CPU, 1 GPU (A100); 1 node (1 × 4 CPU, 1 GPU (T4))"
    assert Capacity([node, Node(4, 1, ("A100",))]).fits(LARGE) == 1


def test_a_trial_does_not_lie_across_two_nodes() -> None:
    assert Capacity([Node(3, 0), Node(3, 0)]).fits(Resources(cpus=2)) == 2


CONFIG = {
    "max_workers": 5,
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 8}, "max_workers": 0},
        "small": {"resources": {"CPU": 2}, "max_workers": 4},
        "large": {"resources": {"CPU": 8, "GPU": 2, "memory": 1e9}, "max_workers": 2},
        "any": {"resources": {"CPU": 1}},
    },
}


def test_types_that_may_be_started() -> None:
    types = NodeTypes.of(CONFIG)
    assert (types.workers, types.most) == ([(Node(2, 0), 4), (Node(8, 2), 2), (Node(1, 0), 5)], 5)
    assert types.fits(ONE_CPU) == 2 * 8 + 3 * 2  # the two large ones first, five in all
    assert types.fits(QUARTER) == 2 * 8
    assert types.fits(Resources(cpus=1, gpus=1)) == 4
    assert types.fits(Resources(cpus=9)) == 0
    assert types.head == Node(8, 0)


@pytest.mark.parametrize(
    ("capacity", "trial", "asked", "problem"),
    [
        (Capacity([CPUS]), ONE_CPU, 4, None),
        (Capacity([CPUS], grows=True), ONE_CPU, 5, None),  # one more, and see
        (Capacity([HEAD], grows=True), ONE_CPU, 1, None),
        (Capacity([HEAD], grows=True), TWO_GPUS, 1, None),  # nobody knows
        (Capacity([HEAD], NodeTypes([(GPU, 3)], 2), grows=True), QUARTER, 8, None),
        (Capacity([HEAD, GPU, GPU, GPU], NodeTypes([(GPU, 2)], 2), grows=True), QUARTER, 12, None),
        # A head that trials run on too must not hide how far its workers may grow.
        (Capacity([CPUS], NodeTypes([(CPUS, 2)], 2, CPUS), grows=True), ONE_CPU, 12, None),
        (
            Capacity([HEAD], NodeTypes([(GPU, 3)], 2), grows=True),
            TWO_GPUS,
            1,
            "got 1 CPU, 2 GPU; 1 node (1 × 0 CPU, 0 GPU), up to 2 workers may be started (4 CPU, 1 GPU)",
        ),
        (
            Capacity([CPUS, CPUS, GPU]),
            TWO_GPUS,
            1,
            "got 1 CPU, 2 GPU; 3 nodes (2 × 4 CPU, 0 GPU, 1 × 4 CPU, 1 GPU)",
        ),
    ],
)
def test_what_is_asked_for(capacity: Capacity, trial: Resources, asked: int, problem: str | None) -> None:
    assert capacity.asks_for(trial) == asked
    assert capacity.problem(trial) == problem


def test_the_launchers_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    assert NodeTypes.here(file) is None
    file.write_text("a: [")
    assert NodeTypes.here(file) is None
    file.write_text("[]")
    assert NodeTypes.here(file) is None
    file.write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    assert NodeTypes.here(file) == NodeTypes.of(CONFIG)
    # As the local provider leaves it: one type for the head and all others, of which it knows nothing.
    unknown = {
        "head_node_type": "node",
        "available_node_types": {"node": {"max_workers": 2, "resources": {}}},
    }
    file.write_text(yaml.safe_dump(unknown))
    assert NodeTypes.here(file) is None


def test_of_the_example() -> None:
    """As `ray up` fills in what the instance types hold: a g4dn.xlarge has 4 CPUs and a GPU."""
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    config["available_node_types"]["gpu_worker"]["resources"] = {"CPU": 4, "GPU": 1}
    assert NodeTypes.of(config).fits(QUARTER) == 16
