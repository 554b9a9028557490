"""Sweeps as jobs of a cluster: really submitted, stopped, and gone on with by the same submit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.orchestrator.tracking_fixtures import free_port
from tests.paths import ROOT
from tests.sweep_process import Sweep, assert_complete, read_until, reader, trial_is_done

SPEC = """
variants: {vanilla: , cyclical: }
trials: 2
epochs: 8
baseline_seeds: 2
replicates: 2
max_sentences: 700
max_concurrent: 2
corpus: text.txt
"""
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
    words = [
        f"{subject} {verb} the {thing}" for subject in "abcdefgh" for verb in "ijklmn" for thing in "opqrs"
    ]
    (folder / "text.txt").write_text("\n".join(words))
    return folder


@contextmanager
def dashboard(folder: Path) -> Iterator[str]:
    """The address of a cluster's dashboard, whose head has two CPUs and finds this Python by its name."""
    port, agent = free_port(), free_port()
    python = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{python}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": str(folder)}
    program = (
        "import sys, time\nfrom ray.cluster_utils import Cluster\n"
        "head = dict(num_cpus=2, include_dashboard=True, dashboard_host='127.0.0.1',"
        f" dashboard_port={port}, dashboard_agent_listen_port={agent})\n"
        "cluster = Cluster(initialize_head=True, head_node_args=head)\n"
        "print('up', flush=True)\nsys.stdin.read()\ncluster.shutdown()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            read_until(process, lambda line: line == "up")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_submitted_stopped_and_gone_on_with(checkout: Path, tmp_path: Path) -> None:
    command, kept = Command(checkout), Sweep(tmp_path / "store")
    kept.folder.mkdir()
    place = ("--storage", f"{kept.folder}/sweeps", "--tracking-uri", f"sqlite:///{kept.folder}/mlflow.db")
    short = Path("/tmp") / f"jobs-{os.getpid()}"  # the path of a socket must be short
    short.mkdir()
    try:
        with dashboard(short) as address:
            there = ("--address", address)
            begin = ("submit", "spec.yaml", "--name", "s", *place, *there)
            begun = command.run(*begin)
            assert (begun.returncode, begun.stderr) == (0, "")
            assert begun.stdout.startswith("sweep s is job s-1; it runs on without this connection\n")
            twice = command.run(*begin)
            assert twice.returncode == 2
            assert (
                twice.stderr == "error: a sweep must run once at a time, got one that runs: 's' in job s-1\n"
            )
            with command.started("logs", "s", *there) as logs:
                read_until(logs, trial_is_done(2))
                stopped = command.run("stop", "s", *there)
                assert stopped.returncode == 0
                assert stopped.stderr == "job s-1: STOPPED\nthe same submit goes on with it\n"
                assert logs.wait(60) != 0
            assert reader(kept).parent().info.status == "KILLED"

            (checkout / "another_file").touch()  # the job's package lies elsewhere now
            assert command.run(*begin).stdout.startswith("sweep s is job s-2;")
            end = command.run("logs", "s", *there)
            assert (end.returncode, end.stderr) == (0, "job s-2: SUCCEEDED, exit status 0\n")
            listed = [line.split()[:2] for line in command.run("list", *there).stdout.splitlines()]
            assert listed == [["s-1", "STOPPED"], ["s-2", "SUCCEEDED"]]
            absent = command.run("logs", "t", *there)
            assert absent.stderr == "error: no sweep 't' among the jobs of this cluster; known: s\n"
    finally:
        shutil.rmtree(short, ignore_errors=True)
    assert_complete(kept, TRIALS, epochs=8)
