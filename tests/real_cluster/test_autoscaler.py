"""Ray's autoscaler under a sweep: workers come with the work, from none to all that may, and go with it. The
machines that it starts are processes beside the head, on a machine where nothing else of Ray's runs."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pandas as pd
import pytest

from tests.real_cluster.hosts import Hosts, check_out, missing
from tests.sweep_process import write_corpus

WORKERS, IDLE_MINUTES, GOES_S = 2, 0.2, 90
CONFIG = {
    "cluster_name": "simulated",
    "max_workers": WORKERS,
    "idle_timeout_minutes": IDLE_MINUTES,
    "upscaling_speed": 1.0,
    "provider": {
        "type": "fake_multinode",
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
        "launch_multiple": True,
        "head_node_id": "fffffffffffffffffffffffffffffffffffffffffffffffffff00000",
    },
    "available_node_types": {
        "head": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "worker": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": WORKERS},
    },
    "head_node_type": "head",
    "auth": {},
    "docker": {},
    "file_mounts": {},
    "cluster_synced_files": [],
    "initialization_commands": [],
    "setup_commands": [],
    "head_setup_commands": [],
    "worker_setup_commands": [],
    "head_start_ray_commands": [],
    "worker_start_ray_commands": [],
}
START = """
set -e; cd {shared}/checkout; cp {shared}/config.json ~/ray_bootstrap_config.yaml
export RAY_FAKE_CLUSTER=1 RAY_USAGE_STATS_ENABLED=0
ray start --head --num-cpus=0 --include-dashboard=false --autoscaling-config={shared}/config.json \\
  > /tmp/ray.log 2>&1
"""
SWEEP = """
cd {shared}/checkout; RAY_ADDRESS=auto python -m orchestrator.sweep --corpus {shared}/text.txt --name s \\
  --variants vanilla --trials 4 --epochs 160 --baseline-seeds 1 --replicates 0 --storage {shared}/sweeps \\
  --tracking-uri sqlite:///{shared}/mlflow.db --set batch_size=8 --set hidden_size=16 2>&1
"""
# Not by `ray status`, which is what the autoscaler last wrote down: five quick trials may have ended by then.
WATCH = """
cd {shared}/checkout; exec python -c 'import ray, time
ray.init("auto", logging_level="error", log_to_driver=False)
while True:
    print(sum(node["Alive"] and node["Resources"].get("CPU") == 1 for node in ray.nodes()), flush=True)
    time.sleep(0.5)' 2> /dev/null
"""
pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Hosts]:
    if problem := missing():
        pytest.skip(problem)
    check_out(tmp_path / "checkout")
    write_corpus(tmp_path / "text.txt")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    hosts = Hosts(tmp_path, 1)
    with hosts.up():
        yield hosts


def test_workers_come_with_the_work_and_go_with_it(machine: Hosts) -> None:
    def run(command: str) -> str:
        done = subprocess.run(machine.ssh(0, command), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(START.format(shared=machine.shared))
    begin = time.monotonic()
    seen: list[tuple[float, int]] = []

    def follow(counts: IO[str]) -> None:
        for line in counts:
            if not seen or int(line) != seen[-1][1]:
                seen.append((time.monotonic() - begin, int(line)))

    with subprocess.Popen(
        machine.ssh(0, WATCH.format(shared=machine.shared)), stdout=subprocess.PIPE, text=True
    ) as watch:
        assert watch.stdout is not None
        follower = threading.Thread(target=follow, args=(watch.stdout,))
        follower.start()
        try:
            output = run(SWEEP.format(shared=machine.shared))
            end = time.monotonic() + 60 * IDLE_MINUTES + GOES_S
            while seen[-1][1]:
                assert time.monotonic() < end, (seen, output)
                time.sleep(0.2)
        finally:
            watch.terminate()
            follower.join()
    assert seen[0][1] == 0
    came = [(round(when), count) for when, count in seen]
    print(f"workers: {came}, none after {time.monotonic() - begin:.0f} s")
    assert max(count for _, count in seen) == WORKERS
    trials = pd.read_csv(machine.shared / "sweeps" / "s" / "trials.csv", keep_default_na=False)
    assert Counter(trials["variant"]) == {"language_model": 1, "vanilla": 4}
    assert set(trials["failure"]) == {""}
