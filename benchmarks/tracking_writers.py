"""One way to log trials to MLflow, in a process of its own.

    python -m benchmarks.tracking_writers WAY URI TRIALS EPOCHS

Prints JSON: seconds, metric points, memory beyond the imports in MB, and how long the driver waited for each
result to be logged. The ways: "outbox" (this project's callback), "ray" (Ray's MLflowLoggerCallback),
"log_metric" (a plain call for each value).
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from orchestrator.search.trial_plan import TrialPlan

METRICS = 10


@dataclass(frozen=True)
class Job:
    """What to log: trials of epochs, `METRICS` values each."""

    uri: str
    trials: int
    epochs: int

    def trial(self, number: int) -> Any:
        plan = TrialPlan("cyclical", "trial", {"cycles": 1 + number % 10}, number, ("cycles",))
        return SimpleNamespace(trial_id=f"t{number}", config=plan.config(), last_result={})

    def results(self, number: int) -> Iterator[dict[str, Any]]:
        for epoch in range(1, self.epochs + 1):
            metrics = {f"metric_{name}": number + name / epoch for name in range(METRICS)}
            yield {"epoch": epoch, "training_iteration": epoch, "metrics": metrics}


Calls = list[float]


def outbox(job: Job, calls: Calls) -> float:
    """Returns when MLflow has everything; with a server that never answers, when all calls are made."""
    from orchestrator.tracking.callback import TrackingCallback
    from orchestrator.tracking.tracker import MlflowTracker

    with tempfile.TemporaryDirectory() as folder:
        tracker = MlflowTracker(job.uri, "benchmark", Path(folder))
        tracker.start_sweep(wait_s=float(os.environ.get("BENCHMARK_WAIT_S", "30")))
        callback = TrackingCallback(tracker)
        start = time.perf_counter()
        for number in range(job.trials):
            trial = job.trial(number)
            callback.on_trial_start(0, [trial], trial)
            for result in job.results(number):
                with _timed(calls):
                    callback.on_trial_result(0, [], trial, result)
            callback.on_trial_complete(0, [], trial)
        tracker.finish_sweep(status="FINISHED")
        patience = float(os.environ.get("BENCHMARK_PATIENCE_S", "60"))
        delivery = tracker.close(patience)
        assert delivery.complete or patience == 0, str(delivery)
        return time.perf_counter() - start


def ray(job: Job, calls: Calls) -> float:
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    callback = MLflowLoggerCallback(tracking_uri=job.uri, experiment_name="ray")
    callback.setup()
    start = time.perf_counter()
    for number in range(job.trials):
        trial = _Hashable(**vars(job.trial(number)))
        callback.log_trial_start(trial)
        for result in job.results(number):
            flat = result["metrics"] | {"training_iteration": result["epoch"]}
            with _timed(calls):
                callback.log_trial_result(0, trial, flat)
        callback.log_trial_end(trial)
    return time.perf_counter() - start


def log_metric(job: Job, calls: Calls) -> float:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=job.uri)
    known = client.get_experiment_by_name("plain")
    experiment = known.experiment_id if known else client.create_experiment("plain")
    start = time.perf_counter()
    for number in range(job.trials):
        run = client.create_run(experiment)
        for result in job.results(number):
            with _timed(calls):
                for name, value in result["metrics"].items():
                    client.log_metric(run.info.run_id, name, value, step=result["epoch"])
        client.set_terminated(run.info.run_id)
    return time.perf_counter() - start


class _Hashable(SimpleNamespace):
    """Ray's callback keeps trials in a dictionary."""

    __hash__ = object.__hash__


WAYS = {way.__name__: way for way in (outbox, ray, log_metric)}


@contextmanager
def _timed(calls: Calls) -> Iterator[None]:
    start = time.perf_counter()
    yield
    calls.append(time.perf_counter() - start)


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    way, uri, trials, epochs = sys.argv[1:]
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    import mlflow  # noqa: F401
    import ray.tune  # noqa: F401

    import orchestrator.tracking.delivery.store  # noqa: F401

    job = Job(uri, int(trials), int(epochs))
    before, calls = _memory_mb(), Calls()
    seconds = WAYS[way](job, calls)
    points = job.trials * job.epochs * METRICS
    found = {"seconds": seconds, "points": points, "memory_mb": _memory_mb() - before, "calls": calls}
    print(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)  # a request to a server that hangs would hold the interpreter up


if __name__ == "__main__":
    main()
