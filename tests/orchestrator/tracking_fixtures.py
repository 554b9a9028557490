"""What the tests of the tracking share: plans, reading a sweep back from MLflow, servers on loopback."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.search.trial_plan import TrialPlan
from orchestrator.tracking.delivery.outcome import Delivery
from orchestrator.tracking.tracker import MlflowTracker

EXPERIMENT = "text-vae-sweep"
Open = Callable[..., MlflowTracker]


def plan(cycles: int = 4, ramp_share: float = 0.5, seed: int = 1) -> TrialPlan:
    knobs = {"cycles": cycles, "ramp_share": ramp_share}
    return TrialPlan("cyclical", "trial", knobs, seed, ("cycles", "ramp_share"))


def complete(points: int) -> Delivery:
    """What `close` says when so many points have arrived and nothing else is left."""
    return Delivery(points, 0, 0, 0, 0, None)


def delivered(tracker: MlflowTracker, timeout: float) -> bool:
    """Waits until everything so far is delivered or refused; whether it is."""
    return tracker._courier.wait_idle(timeout)


class Reader:
    """A sweep as MLflow holds it."""

    def __init__(self, uri: str, sweep: str = "s") -> None:
        self.client, self.sweep = MlflowClient(tracking_uri=uri), sweep

    def runs(self) -> list[Run]:
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        assert experiment is not None
        return self.client.search_runs(
            [experiment.experiment_id], f"tags.`orchestrator.sweep` = '{self.sweep}'", max_results=5000
        )

    def parent(self) -> Run:
        (run,) = [run for run in self.runs() if run.data.tags["orchestrator.kind"] == "sweep"]
        return run

    def trials(self) -> dict[str, Run]:
        found = [(run.data.tags.get("orchestrator.trial_id"), run) for run in self.runs()]
        trials = {trial_id: run for trial_id, run in found if trial_id is not None}
        assert len(trials) == len(found) - 1, "one run a trial, and the parent"
        return trials

    def history(self, trial: str | Run, key: str) -> list[tuple[int, float]]:
        """(step, value) in the order of the steps; a point that is stored twice shows twice. Whoever asks for
        many metrics has the trial's run, and need not look for it each time."""
        run = self.trials()[trial] if isinstance(trial, str) else trial
        points = self.client.get_metric_history(run.info.run_id, key)
        return sorted((point.step, point.value) for point in points)

    def artifacts(self) -> list[str]:
        return sorted(file.path for file in self.client.list_artifacts(self.parent().info.run_id))


def free_port() -> int:
    """Of loopback, and not among those that the system hands out: Ray takes such by the dozen, and one of its
    processes would answer in the place of a server that is being started or has been killed."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as listening, suppress(OSError):
            listening.bind(("127.0.0.1", port))
            return port


@contextmanager
def running(*arguments: str, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`mlflow <arguments>` on a port of loopback, in a process group of its own; ended with the block."""
    command = [sys.executable, "-m", "mlflow", *arguments, "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight more processes
    }
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_healthy(process, port)
        yield process
    finally:
        end(process)


def wait_healthy(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(900):
        assert process.poll() is None, "the server ended"
        if is_healthy(port):
            return
        time.sleep(0.2)
    raise AssertionError("the server did not start")


def is_healthy(port: int) -> bool:
    """Whether an MLflow server answers on that port of loopback."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def end(process: subprocess.Popen[bytes]) -> None:
    """Kills the process group, stopped or not."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
