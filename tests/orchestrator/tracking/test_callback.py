"""The callback: in a real Tune run, in one that is resumed, and when everything goes wrong."""

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray import tune
from ray.tune.experiment import Trial

from orchestrator.tracking.callback import TrackingCallback
from orchestrator.tracking.tracker import MlflowTracker
from tests.orchestrator.database import sqlite_uri
from tests.orchestrator.tracking.trivial import Trivial
from tests.orchestrator.tracking_fixtures import Open, Reader, plan


@pytest.fixture(scope="module")
def small_ray() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
        monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        options = {"include_dashboard": False, "configure_logging": False, "log_to_driver": False}
        ray.init(address="local", num_cpus=2, **options)  # not the Ray of another test
        yield
        ray.shutdown()


def tune_run(tracker: MlflowTracker, folder: Path, seeds: list[int], *, resume: bool = False) -> list[Trial]:
    """As the runner does it: what Tune goes on with has a tracker and a callback of its own."""
    again = tune.ResumeConfig.ResumeType.RESUME
    analysis = tune.run(
        Trivial,
        name="run",
        storage_path=str(folder / "storage"),
        config=plan().config() | {"seed": tune.grid_search(seeds)},
        callbacks=[TrackingCallback(tracker)],
        max_failures=1,
        raise_on_failed_trial=False,
        verbose=0,
        checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1),
        resume_config=tune.ResumeConfig(errored=again) if resume else None,  # type: ignore[arg-type]
    )
    return list(analysis.trials or ())


@pytest.mark.slow
def test_a_real_run(small_ray: None, tmp_path: Path) -> None:
    tracker = MlflowTracker(sqlite_uri(tmp_path), "s", tmp_path)
    assert tracker.start_sweep() is None
    trials = tune_run(tracker, tmp_path, [1, 2, 3, 4, 5])
    tracker.finish_sweep(status="FINISHED")
    delivery = tracker.close(30)
    assert delivery.complete, str(delivery)

    reader = Reader(sqlite_uri(tmp_path))
    by_seed = {run.data.params["seed"]: trial_id for trial_id, run in reader.trials().items()}
    runs = {seed: reader.trials()[trial_id] for seed, trial_id in by_seed.items()}
    assert set(by_seed.values()) == {trial.trial_id for trial in trials}
    assert {seed: run.info.status for seed, run in runs.items()} == {
        "1": "FINISHED",
        "2": "FAILED",
        "3": "FAILED",
        "4": "FINISHED",
        "5": "FAILED",
    }
    assert reader.history(by_seed["1"], "nll") == [(1, 11.0), (2, 12.0), (3, 13.0)]
    assert reader.history(by_seed["1"], "test/nll") == [(3, 1.5)]
    assert set(runs["1"].data.metrics) == {"nll", "test/nll"}, "none of Ray's own"
    assert reader.history(by_seed["2"], "nll") == [(1, 21.0), (2, 22.0)]
    assert runs["2"].data.tags["diverged"] == "true"
    failures = {seed: run.data.tags.get("orchestrator.failure") for seed, run in runs.items()}
    assert failures == {"1": None, "2": "diverged", "3": "error", "4": None, "5": "error"}
    assert runs["2"].data.tags["orchestrator.problem"] == "loss not finite in epoch 2"
    assert reader.history(by_seed["3"], "nll") == [(1, 31.0)]
    assert reader.history(by_seed["4"], "nll") == [(1, 41.0), (2, 42.0), (3, 43.0)]

    assert runs["5"].data.metrics == {}


@pytest.mark.slow
def test_a_resume_delivers_what_was_left(small_ray: None, tmp_path: Path) -> None:
    (tmp_path / "later").write_text("")  # where the database's folder is to be
    uri = f"sqlite:///{tmp_path}/later/mlflow.db"
    first = MlflowTracker(uri, "s", tmp_path)
    assert first.start_sweep() is not None
    tune_run(first, tmp_path, [1, 3])
    assert first.close(30).points_delivered == 0
    (tmp_path / "later").unlink()

    second = MlflowTracker(uri, "s", tmp_path)
    assert second.start_sweep() is None
    trials = tune_run(second, tmp_path, [1, 3], resume=True)
    second.finish_sweep(status="FINISHED")
    delivery = second.close(30)
    assert delivery.complete, str(delivery)

    reader = Reader(uri)
    by_seed = {trial.config["seed"]: trial.trial_id for trial in trials}
    assert reader.trials().keys() == set(by_seed.values())
    assert reader.history(by_seed[1], "nll") == [(1, 11.0), (2, 12.0), (3, 13.0)]
    assert reader.history(by_seed[3], "nll") == [(1, 31.0)]
    statuses = {trial_id: run.info.status for trial_id, run in reader.trials().items()}
    assert statuses == {by_seed[1]: "FINISHED", by_seed[3]: "FAILED"}


def call(callback: TrackingCallback, config: dict[str, Any], result: dict[str, Any]) -> None:
    trial = SimpleNamespace(trial_id="t0", config=config)
    about: dict[str, Any] = {"iteration": 0, "trials": [trial], "trial": trial}
    callback.on_trial_start(**about)
    callback.on_trial_result(**about, result=result)
    callback.on_trial_error(**about)
    callback.on_trial_complete(**about)


def test_nothing_is_raised(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    tracker = MlflowTracker(f"sqlite:///{tmp_path}/file/mlflow.db", "s", tmp_path)
    callback = TrackingCallback(tracker)
    call(callback, plan().config(), {"metrics": {"nll": 1.0}, "epoch": 1})
    call(callback, {}, {"metrics": {"nll": "high"}, "epoch": "one"})
    call(callback, plan().config() | {"knobs": {"unknown": 1}}, {"metrics": None})
    assert tracker.close(0).points_waiting == 1
    hooks = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert "TrackingCallback.on_trial_result failed; the sweep goes on" in hooks


def test_a_trial_that_fails_before_it_starts(opened: Open, reader: Reader) -> None:
    tracker = opened()
    trial = SimpleNamespace(trial_id="t0", config=plan().config())
    TrackingCallback(tracker).on_trial_error(0, [trial], trial)  # type: ignore[arg-type,list-item]
    assert tracker.close(30).complete
    assert reader.trials()["t0"].info.status == "FAILED"
    assert reader.trials()["t0"].data.params["cycles"] == "4"
