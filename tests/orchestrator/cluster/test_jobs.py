"""Sweeps as jobs of a cluster: really submitted, stopped, and gone on with by the same submit."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import pytest

from tests.orchestrator.tracking_fixtures import free_port
from tests.paths import ROOT
from tests.sweep_process import (
    Sweep,
    assert_complete,
    processes_below,
    read_until,
    reader,
    trial_is_done,
    wait_gone,
)

SPEC = """
variants: {vanilla: , cyclical: }
trials: 2
epochs: 8
baseline_seeds: 2
replicates: 2
max_replicates: 2
search: {kl_floor: 0}
max_sentences: 1200
max_concurrent: 2
corpus: text.txt
"""
TAKES_MIB = 16
"""Packed, in the place of 500."""
TRIALS = {"language_model": 2, "vanilla": 2, "cyclical": 4}


class Command(Sweep):
    """`python -m orchestrator.cluster` in the checkout that is sent."""

    command = ("-m", "orchestrator.cluster")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    for package in ("orchestrator", "trainables", "search_spaces"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    (folder / "spec.yaml").write_text(SPEC)
    sentences = [" ".join(words) for words in product("abcdefgh", "ijklmn", ["the"], "opqrs", "tuvwxyz")]
    (folder / "text.txt").write_text("\n".join(sentences))
    return folder


class Head:
    """The head of a cluster with two CPUs, on which this Python is found by its name."""

    def __init__(self, folder: Path) -> None:
        port, agent = free_port(), free_port()
        self.address = f"http://127.0.0.1:{port}"
        program = (
            "import sys\nfrom ray.cluster_utils import Cluster\n"
            "head = dict(num_cpus=2, include_dashboard=True, dashboard_host='127.0.0.1',"
            f" dashboard_port={port}, dashboard_agent_listen_port={agent})\n"
            "cluster = Cluster(initialize_head=True, head_node_args=head)\n"
            "print('up', flush=True)\nsys.stdin.read()\n"
        )
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": str(folder)}
        own["RAY_max_grpc_message_size"] = str(TAKES_MIB * 2**20)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            env=os.environ | own,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        read_until(self.process, lambda line: line == "up")

    def power_off(self) -> None:
        """At once, with all that runs there; nothing where that has been done."""
        if self.process.returncode is not None:
            return
        there = {self.process.pid: "", **processes_below(self.process.pid)}
        for pid in there:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate()
        wait_gone(there)


@pytest.fixture
def place() -> Iterator[Path]:
    """For Ray's sockets, whose paths must be short."""
    folder = Path(tempfile.mkdtemp(prefix="jobs-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_stopped_then_its_head_lost_and_gone_on_with(checkout: Path, tmp_path: Path, place: Path) -> None:
    command, kept = Command(checkout), Sweep(tmp_path / "store")
    kept.folder.mkdir()
    store = ("--storage", f"{kept.folder}/sweeps", "--tracking-uri", f"sqlite:///{kept.folder}/mlflow.db")
    with ExitStack() as stack:
        head = Head(place)
        stack.callback(head.power_off)
        begin = ("submit", "spec.yaml", "--name", "s", *store, "--address", head.address)
        there = ("s", "--address", head.address)
        large = checkout / "large"
        large.write_bytes(os.urandom((TAKES_MIB + 4) * 2**20))
        refused = command.run(*begin)
        assert refused.returncode == 2
        assert refused.stderr.startswith(
            f"error: what is sent to the head must be less than {TAKES_MIB}.00MiB packed, got 2"
        )
        assert refused.stderr.count("\n") == 1
        large.unlink()
        begun = command.run(*begin)
        assert (begun.returncode, begun.stderr) == (0, "")
        assert begun.stdout.startswith("sweep s is job s-1; it runs on without this connection\n")
        twice = command.run(*begin)
        assert twice.returncode == 2
        assert twice.stderr.endswith(" must run once at a time, got one that runs: 's' in job s-1\n")
        with command.started("logs", *there) as logs:
            read_until(logs, trial_is_done(1))
            stopped = command.run("stop", *there)
            assert stopped.returncode == 0
            assert stopped.stderr == "job s-1: STOPPED\nthe same submit goes on with it\n"
            assert logs.wait(60) != 0
        assert reader(kept).parent().info.status == "KILLED"

        (checkout / "another_file").touch()  # the job's package lies elsewhere now
        assert command.run(*begin).stdout.startswith("sweep s is job s-2;")
        with command.started("logs", *there) as logs:
            read_until(logs, trial_is_done(4))
            head.power_off()
            _, errors = logs.communicate(timeout=120)
        assert logs.returncode == 4
        assert errors.startswith("error: the cluster does not answer any more: ")
        assert errors.count("\n") == 1

        head = Head(place)
        stack.callback(head.power_off)
        begin, there = (*begin[:-1], head.address), ("s", "--address", head.address)
        assert command.run(*begin).stdout.startswith("sweep s is job s-1;")  # this head knows no other
        end = command.run("logs", *there)
        assert (end.returncode, end.stderr) == (0, "job s-1: SUCCEEDED, exit status 0\n")
        listed = command.run("list", "--address", head.address)
        assert listed.stdout.split()[:2] == ["s-1", "SUCCEEDED"]
        absent = command.run("logs", "t", "--address", head.address)
        assert absent.stderr == "error: no sweep 't' among the jobs of this cluster; known: s\n"
    assert_complete(kept, TRIALS, epochs=8, lost=2)
