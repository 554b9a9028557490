"""Sweeps on clusters whose nodes are all on this machine: some that stay, some that come and go."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.paths import ROOT
from tests.sweep_process import FINISHED_LINE, TRAINS, Sweep, assert_complete, processes_below

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

SWEEP = (
    *("--variants", "vanilla", "--trials", "6", "--epochs", "24", "--baseline-seeds", "2"),
    *("--max-sentences", "500", "--name", "s"),
)


FOLLOWED = (
    *("--variants", "vanilla", "--trials", "6", "--epochs", "40", "--baseline-seeds", "2"),
    *("--max-sentences", "800", "--name", "s"),
)


@contextmanager
def cluster_of(cpus: int) -> Iterator[Cluster]:
    """A cluster whose head has so many CPUs."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": cpus, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster
    finally:
        cluster.shutdown()


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture
def address() -> Iterator[str]:
    """Of a cluster with two nodes, one CPU each."""
    with cluster_of(1) as cluster:
        cluster.add_node(num_cpus=1)
        yield cluster.address


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


def _training() -> int:
    """Trials that train at this moment."""
    return sum(command.startswith(TRAINS) for command in processes_below(os.getpid()).values())


def _seconds_until(trials: int, patience: float = 150.0) -> float:
    """Until so many trials train at the same moment; it fails if there are ever more."""
    start = time.monotonic()
    while (now := _training()) != trials:
        assert now < trials
        assert time.monotonic() - start < patience, now
        time.sleep(0.05)
    return time.monotonic() - start


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_trials_at_a_time_follow_the_cluster(tmp_path: Path) -> None:
    """A sweep begins where no trial fits; two CPUs come, two more, and two are powered off."""
    with cluster_of(0) as cluster:
        sweep = Sweep(tmp_path, {"RAY_ADDRESS": cluster.address})
        with sweep.started(*FOLLOWED) as process:
            end = time.monotonic() + 15
            while time.monotonic() < end:
                assert _training() == 0
                time.sleep(0.1)
            assert process.poll() is None
            first = cluster.add_node(num_cpus=2)
            print(f"2 at a time after {_seconds_until(2):.0f} s")
            cluster.add_node(num_cpus=2)
            print(f"4 at a time after {_seconds_until(4):.0f} s")
            cluster.remove_node(first, allow_graceful=False)
            time.sleep(1)
            assert _training() <= 2
            print(f"2 at a time after {_seconds_until(2):.0f} s")
            output, errors = process.communicate(timeout=600)
    assert (process.returncode, errors) == (0, "")
    assert_complete(sweep, {"language_model": 2, "vanilla": 6}, 40)
    assert "is given up" not in output


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_trial_that_no_node_may_ever_hold_is_refused(tmp_path: Path) -> None:
    """The launcher's file says what may come: no GPU."""
    config = {
        "max_workers": 2,
        "head_node_type": "head",
        "available_node_types": {"head": {"resources": {"CPU": 0}}, "worker": {"resources": {"CPU": 4}}},
    }
    (tmp_path / "ray_bootstrap_config.yaml").write_text(yaml.safe_dump(config))
    with cluster_of(1) as cluster:
        sweep = Sweep(tmp_path, {"RAY_ADDRESS": cluster.address, "HOME": str(tmp_path)})
        done = sweep.run(*SWEEP, "--gpus", "2")
    assert (done.returncode, done.stderr) == (
        2,
        "error: resources of a trial must fit on a node of the cluster, got 1 CPU, 2 GPU; 1 node (1 × 1 CPU,"
        " 0 GPU), up to 2 workers may be started (4 CPU, 0 GPU)\n",
    )
    assert not (tmp_path / "sweeps" / "s").exists()


_PLACED = """
import sys
from pathlib import Path
import ray
from ray import tune
from orchestrator.cluster.slots import Slots
from orchestrator.running.folder import prepare_folder
from orchestrator.spec.sweep_spec import SweepSpec
from tests.orchestrator.own_trainables import trained

class Placed(tune.Trainable):
    def setup(self, config, settings=None, corpus=None):
        pass

    def reset_config(self, new_config):
        return True

    def step(self):
        final = {f"best/{name}": 1.0 for name in ("nll", "kl", "nll_plus_kl")}
        node = ray.get_runtime_context().get_node_id()
        return {"epoch": 1, "metrics": {}, "final": final, "node": node, "done": True}

    def save_checkpoint(self, folder):
        Path(folder, "nothing").touch()

ray.init(sys.argv[1], runtime_env={"py_modules": [sys.argv[2]]}, log_to_driver=False)
Path("spec.yaml").write_text("resources: {cpus: 1, gpus: 0.5, accelerator: A100}")
options = {"name": "s", "variants": "vanilla", "replicates": 0, "baseline_seeds": 1, "trials": 4}
options |= {"epochs": "1", "storage": "sweeps"}
spec = prepare_folder(SweepSpec.load(Path("spec.yaml"), options))
slots = Slots(spec, print)
trials = trained(spec, Placed, slots=slots)
nodes = {node["NodeID"]: node["Resources"] for node in ray.nodes()}
print(slots.fit, *("accelerator_type:A100" in nodes[trial.last_result["node"]] for trial in trials))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_trials_go_where_their_kind_of_gpu_is(tmp_path: Path) -> None:
    """On nodes that only say that they have GPUs; the trials train nothing."""
    with cluster_of(0) as cluster:
        for kind in ("T4", "A100"):
            cluster.add_node(num_cpus=4, num_gpus=1, resources={f"accelerator_type:{kind}": 1})
        environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_ADDRESS": cluster.address}
        done = subprocess.run(
            [sys.executable, "-c", _PLACED, cluster.address, str(ROOT / "trainables")], cwd=tmp_path,
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "2 True True True True True"


def _raylets() -> list[int]:
    """The nodes that this process started."""
    commands = processes_below(os.getpid())
    return sorted(pid for pid, command in commands.items() if command.split(" ")[0].endswith("/raylet"))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(os.getuid() != 0, reason="a node with a disk of its own needs root")
def test_a_node_that_does_not_reach_the_checkpoints(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    with cluster_of(1) as cluster:
        start = (
            f"{sys.executable} -m ray.scripts.scripts start --address={cluster.address} --num-cpus=1 --block"
        )
        with subprocess.Popen(
            ["unshare", "--mount", "bash", "-c", f"mount -t tmpfs none {store} && exec {start}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as node:
            try:
                sweep = Sweep(tmp_path, {"RAY_ADDRESS": cluster.address})
                end = time.monotonic() + 60
                while len(_raylets()) < 2:
                    assert time.monotonic() < end
                    time.sleep(0.2)
                time.sleep(5)
                refused = sweep.run(*SWEEP, "--storage", str(store))
            finally:
                for pid in processes_below(node.pid):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                node.kill()
    assert refused.returncode == 2
    rule = rf"checkpoints must lie where all nodes reach them, got {store}/s, which [\d.]+ does not see"
    assert re.fullmatch(f"error: {rule}: .*\n", refused.stderr)
    assert not (store / "s").exists()
