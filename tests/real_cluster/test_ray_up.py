"""A cluster as its users have it: `ray up`, submit, watch, a worker and then the head lost, submit again, a
worker cut off, fetch, `ray down`; by Ray's own launcher and SSH, on machines of this machine, with MLflow's
database on one of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.orchestrator.postgres import binaries
from tests.paths import ROOT
from tests.real_cluster.hosts import PREFIX, Hosts, check_out, missing
from tests.sweep_process import write_corpus

HEAD, WORKERS, DATABASE = 0, (1, 2), 3
LOST, CUT_OFF = WORKERS
QUICK = " ".join(
    f"RAY_health_check_{name}={value}"
    for name, value in {
        "initial_delay_ms": 1000, "period_ms": 500, "timeout_ms": 500, "failure_threshold": 6
    }.items()
)  # fmt: skip
"""A node that is cut off is dead after some 3 s, and not after a minute."""
POSTGRES = """
set -e; cd /tmp; bin={programs}; printf secret > password; mkdir data; chown postgres password data
export LC_ALL=C; runuser -u postgres -- $bin/initdb -D data -U mlflow -E UTF8 -N --auth=scram-sha-256 \\
  --pwfile=password > log 2>&1
echo 'host all all {network} scram-sha-256' >> data/pg_hba.conf
nohup setsid runuser -u postgres -- $bin/postgres -D data -k /tmp -c listen_addresses={address} \\
  >> log 2>&1 < /dev/null &
for _ in $(seq 100); do $bin/pg_isready -q -h {address} && exit 0; sleep 0.2; done; cat log; exit 1
"""
RUNS = """
import json, sys
from tests.orchestrator.tracking_fixtures import Reader
mlflow = Reader(sys.argv[1], "spec")
runs = {trial: (run.info.status, [step for step, _ in mlflow.history(trial, "nll")])
        for trial, run in mlflow.trials().items()}
print(json.dumps([mlflow.parent().info.status, runs]))
"""
CLUSTER = ("python", "-m", "orchestrator.cluster")
FORGOTTEN_S, BEGUN_S = 20, 8
"""So long the launcher's SSH takes to see that its connection to a lost head is dead."""
SPEC = """
corpus: {store}/text.txt
variants: [vanilla, cyclical]
trials: 3
epochs: 120
baseline_seeds: 1
replicates: 1
max_replicates: 1
search: {{kl_floor: 0}}
final_iw_samples: 5
final_iw_sentences: 5
knobs: {{hidden_size: 16, embedding_size: 8, latent_size: 4, batch_size: 8}}
"""
PLANNED = Counter(language_model=1, vanilla=3, cyclical=4)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.timeout(900),
]


class Laptop:
    """Where the user sits: a checkout, a home with a token, the machines that SSH reaches."""

    def __init__(self, folder: Path) -> None:
        self.hosts = Hosts(folder, 4)
        self.store, self.checkout, home = folder / "store", folder / "checkout", folder / "home"
        for made in (self.store, self.checkout, home / ".ray"):
            made.mkdir(parents=True)
        (home / ".ray" / "auth_token").write_text("0123456789abcdef" * 4)
        (home / ".ray" / "auth_token").chmod(0o600)
        check_out(self.checkout)
        write_corpus(self.store / "text.txt")
        (self.checkout / "spec.yaml").write_text(SPEC.format(store=self.store))
        (self.checkout / "my-cluster.yaml").write_text(self._filled())
        self.environment = {
            **os.environ,
            "HOME": str(home),
            "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}:/usr/sbin",
            "RAY_AUTH_MODE": "token",
            "RAY_UP_enable_autoscaler_v2": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self.environment.pop("PYTHONPATH", None)

    def _filled(self) -> str:
        """clusters/local.yaml for these machines, whose packages are this one's."""
        text = (ROOT / "clusters" / "local.yaml").read_text().replace("/store", str(self.store))
        blanks = {
            "head": self.hosts.address(HEAD),
            "workers": "",
            "user": "root",
            "key": str(self.hosts.keys / "user"),
        }
        config = yaml.safe_load(re.sub(r"<FILL-IN: (\w+),[^>]*>", lambda found: blanks[found[1]], text))
        config["cluster_name"] = f"walk{os.getpid()}"  # the launcher remembers what it did under a name
        config["provider"]["worker_ips"] = [self.hosts.address(worker) for worker in WORKERS]
        config["head_start_ray_commands"] = [
            command.replace("ray start", f"{QUICK} ray start").replace(
                f"sqlite:///{self.store}/mlflow/mlflow.db", self.database
            )
            for command in config["head_start_ray_commands"]
        ]
        store, _, _, path = config["setup_commands"]
        config["setup_commands"] = [store, f"ln -sfn {sys.prefix} ~/sweep-venv", path]
        return yaml.safe_dump(config, sort_keys=False)

    @property
    def database(self) -> str:
        return f"postgresql://mlflow:secret@{self.hosts.address(DATABASE)}/postgres"

    def start_database(self) -> None:
        """PostgreSQL, as it has it, on the machine for it."""
        command = POSTGRES.format(
            programs=binaries(), address=self.hosts.address(DATABASE), network=f"{PREFIX}.0/24"
        )
        done = subprocess.run(self.hosts.ssh(DATABASE, command), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def workers(self) -> list[int]:
        """Those on which Ray runs."""
        found = [
            subprocess.run(self.hosts.ssh(worker, "pgrep -f raylet/raylet"), capture_output=True, check=False)
            for worker in WORKERS
        ]
        return [worker for worker, ray in zip(WORKERS, found, strict=True) if ray.returncode == 0]

    def run(self, *command: str) -> str:
        """To its end, which must be a good one; what it printed."""
        done = subprocess.run(
            self.hosts.laptop(*command), cwd=self.checkout, env=self.environment, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        said = f"{command}: {done.stdout} {done.stderr}"
        assert done.returncode == 0, said
        return done.stdout

    def up(self) -> None:
        self.run("ray", "up", "-y", "--no-config-cache", "my-cluster.yaml", "--disable-usage-stats")

    def submit(self) -> str:
        storage = ("--storage", str(self.store / "sweeps"))
        return self.run(*CLUSTER, "submit", "spec.yaml", *storage, "--cluster", "my-cluster.yaml")

    def watching(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.hosts.laptop(*CLUSTER, "watch", "spec"), cwd=self.checkout, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Laptop]:
    if problem := missing():
        pytest.skip(problem)
    if binaries() is None:
        pytest.skip("without PostgreSQL")
    found = Laptop(tmp_path)
    with found.hosts.up():
        found.start_database()
        yield found


def test_a_worker_and_the_head_are_lost_and_every_trial_is_there_once(laptop: Laptop) -> None:
    laptop.up()
    assert "sweep spec is job spec-1; it runs on without this connection" in laptop.submit()
    with laptop.watching() as first:
        assert first.stdout is not None
        lost: list[int] = []
        said: list[str] = []
        for line in first.stdout:
            said.append(line)
            if line.startswith("[2/") and not lost:
                laptop.hosts.power_off(LOST)
                lost.append(LOST)
            if line.startswith("[4/") and lost == [LOST]:
                laptop.hosts.power_off(HEAD)
                lost.append(HEAD)
        errors = first.stderr.read() if first.stderr else ""
    assert lost == [LOST, HEAD], (said, errors)  # both while it ran
    assert first.returncode == 4, errors
    assert "the cluster does not answer any more" in errors
    laptop.hosts.power_on(HEAD)
    laptop.hosts.power_on(LOST)
    time.sleep(FORGOTTEN_S)
    laptop.up()
    laptop.submit()
    with laptop.watching() as second:
        while laptop.workers() != [*WORKERS]:
            assert second.poll() is None
        time.sleep(BEGUN_S)
        laptop.hosts.cut_off(CUT_OFF)
        assert second.poll() is None  # it runs
        output, errors = second.communicate(timeout=400)
    assert second.returncode == 0, (output, errors)
    laptop.hosts.reconnect(CUT_OFF)
    assert "Traceback" not in output + errors
    assert "while this runs: MLflow http://127.0.0.1:5000" in errors
    assert laptop.run(*CLUSTER, "fetch", "spec", "--storage", str(laptop.store / "sweeps")) == "sweeps/spec\n"
    fetched = laptop.checkout / "sweeps" / "spec"
    files = {file.name for file in fetched.iterdir()}
    assert {"frontier.html", "frontier.png", "trials.csv", "models"} <= files
    assert not (fetched / "tune").exists()
    trials = pd.read_csv(fetched / "trials.csv", keep_default_na=False)
    assert Counter(trials["variant"]) == PLANNED
    assert set(trials["failure"]) == {""}
    assert not trials.duplicated(["variant", "seed", "knobs"]).any()
    told = laptop.run("python", "-c", RUNS, laptop.database)
    parent, runs = json.loads(told.splitlines()[-1])
    assert parent == "FINISHED"
    assert set(runs) == set(trials["trial_id"])
    assert list(runs.values()) == [["FINISHED", list(range(1, 121))]] * len(runs)  # no epoch twice
    laptop.run("ray", "down", "-y", "my-cluster.yaml")
    left = subprocess.run(laptop.hosts.ssh(HEAD, "pgrep -f raylet/raylet"), capture_output=True, check=False)
    assert left.stdout == b""
