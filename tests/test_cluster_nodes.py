"""A sweep on a cluster of two nodes, both on this machine."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sweep_process import FINISHED_LINE, TRAINS, Sweep, processes_below

SWEEP = (
    *("--variants", "vanilla", "--trials", "6", "--epochs", "4", "--baseline-seeds", "2"),
    *("--max-sentences", "500", "--name", "s"),
)


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a cluster with two nodes, one CPU each."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    head = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster.add_node(num_cpus=1)
        yield cluster.address
    finally:
        cluster.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_both_nodes_work_and_the_cluster_stays(address: str, tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, {"RAY_ADDRESS": address})
    raylets = _raylets()
    assert len(raylets) == 2
    parents: set[int] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for raylet in raylets:
                if any(command.startswith(TRAINS) for command in processes_below(raylet).values()):
                    parents.add(raylet)
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = sweep.run(*SWEEP)
    finally:
        stop.set()
        watcher.join()
    assert (done.returncode, done.stderr) == (0, "")
    assert sum(FINISHED_LINE.match(line) is not None for line in done.stdout.splitlines()) == 8
    assert parents == set(raylets)  # trials ran below either
    assert len(sweep.trials("s")) == 8
    assert _raylets() == raylets  # it was connected to, and is no sweep's to end


def _raylets() -> list[int]:
    """The nodes that this process started."""
    commands = processes_below(os.getpid())
    return sorted(pid for pid, command in commands.items() if command.split(" ")[0].endswith("/raylet"))
