"""The callback: in a real Tune run, pickled as Tune pickles it, and when everything goes wrong."""

import logging
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray import cloudpickle, tune

from orchestrator.tracking import MlflowTracker, sqlite_uri
from orchestrator.tracking_callback import TrackingCallback
from tests.orchestrator.tracking_fixtures import Reader, plan

EPOCHS = 3


class Trivial(tune.Trainable):
    """Reports as the real trainable does; seed 2 diverges, seed 3 fails, seed 4 fails once."""

    def setup(self, config: dict[str, Any]) -> None:
        self.seed, self.epoch, self.failed = config["seed"], 0, False

    def step(self) -> dict[str, Any]:
        self.epoch += 1
        result: dict[str, Any] = {"epoch": self.epoch, "metrics": {"nll": 10.0 * self.seed + self.epoch}}
        if self.seed == 2 and self.epoch == 2:
            result["metrics"]["kl"] = float("nan")
            return result | {"failure": "diverged", "reason": "loss not finite in epoch 2", "done": True}
        if self.seed == 3 and self.epoch == 2:
            raise RuntimeError("out of luck")
        if self.seed == 4 and self.epoch == 3 and not self.restored:
            raise RuntimeError("once")
        if self.epoch == EPOCHS:
            result |= {"final": {"test/nll": 1.5}, "done": True}
        return result

    restored = False

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        (Path(checkpoint_dir) / "epoch").write_text(str(self.epoch))

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        self.epoch, self.restored = int((Path(checkpoint_dir) / "epoch").read_text()), True


@pytest.fixture
def small_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_a_real_run(small_ray: None, tmp_path: Path) -> None:
    tracker = MlflowTracker(sqlite_uri(tmp_path), "s")
    assert tracker.start_sweep() is None
    tuner = tune.Tuner(
        Trivial,
        param_space=plan().config() | {"seed": tune.grid_search([1, 2, 3, 4])},
        run_config=tune.RunConfig(
            name="run",
            storage_path=str(tmp_path / "storage"),
            callbacks=[TrackingCallback(tracker)],
            failure_config=tune.FailureConfig(max_failures=1),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1),
            verbose=0,
        ),
    )
    results = tuner.fit()
    tracker.finish_sweep(status="FINISHED")
    delivery = tracker.close(30)
    assert delivery.complete, str(delivery)

    reader = Reader(sqlite_uri(tmp_path))
    by_seed = {run.data.params["seed"]: trial_id for trial_id, run in reader.trials().items()}
    runs = {seed: reader.trials()[trial_id] for seed, trial_id in by_seed.items()}
    assert set(by_seed.values()) == {result.metrics["trial_id"] for result in results}
    assert {seed: run.info.status for seed, run in runs.items()} == {
        "1": "FINISHED",
        "2": "FAILED",
        "3": "FAILED",
        "4": "FINISHED",
    }
    assert reader.history(by_seed["1"], "nll") == [(1, 11.0), (2, 12.0), (3, 13.0)]
    assert reader.history(by_seed["1"], "test/nll") == [(3, 1.5)]
    assert set(runs["1"].data.metrics) == {"nll", "test/nll"}, "none of Ray's own"
    assert reader.history(by_seed["2"], "nll") == [(1, 21.0), (2, 22.0)]
    assert runs["2"].data.tags["diverged"] == "true"
    assert runs["2"].data.tags["orchestrator.problem"] == "loss not finite in epoch 2"
    assert reader.history(by_seed["3"], "nll") == [(1, 31.0)]
    assert reader.history(by_seed["4"], "nll") == [(1, 41.0), (2, 42.0), (3, 43.0)]

    later = MlflowTracker(sqlite_uri(tmp_path), "s")  # a session that finds nothing left to do
    later.start_sweep()
    restored = tune.Tuner.restore(str(tmp_path / "storage" / "run"), trainable=Trivial)
    (callback,) = restored._local_tuner.get_run_config().callbacks
    assert callback.tracker is later
    restored.fit()
    later.finish_sweep(status="FINISHED")
    assert later.close(30).complete
    assert reader.history(by_seed["4"], "nll") == [(1, 41.0), (2, 42.0), (3, 43.0)]
    assert "RUNNING" not in {run.info.status for run in reader.runs()}


def call(callback: TrackingCallback, config: dict[str, Any], result: dict[str, Any]) -> None:
    trial = SimpleNamespace(trial_id="t0", config=config)
    about: dict[str, Any] = {"iteration": 0, "trials": [trial], "trial": trial}
    callback.on_trial_start(**about)
    callback.on_trial_result(**about, result=result)
    callback.on_trial_error(**about)
    callback.on_trial_complete(**about)


def test_nothing_is_raised(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    tracker = MlflowTracker(f"sqlite:///{tmp_path}/file/mlflow.db", "s")
    callback = TrackingCallback(tracker)
    call(callback, plan().config(), {"metrics": {"nll": 1.0}, "epoch": 1})
    call(callback, {}, {"metrics": {"nll": "high"}, "epoch": "one"})
    call(callback, plan().config() | {"knobs": {"unknown": 1}}, {"metrics": None})
    callback.set_state({})
    assert callback.get_state() is not None
    assert tracker.close(0).points_lost == 1
    hooks = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert "tracking failed in on_trial_result; the sweep goes on" in hooks


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_a_pickle_of_a_callback_in_use(pickler: Any, tmp_path: Path) -> None:
    tracker = MlflowTracker(sqlite_uri(tmp_path), "s")
    callback = TrackingCallback(tracker)
    call(callback, plan().config(), {"metrics": {"nll": 1.0}, "epoch": 1})
    state = pickler.dumps(callback.get_state())
    copy = pickler.loads(pickler.dumps(callback))
    assert copy.tracker is tracker
    copy.set_state(pickler.loads(state))
    assert tracker.close(30).points_logged == 1
    assert Reader(sqlite_uri(tmp_path)).history("t0", "nll") == [(1, 1.0)]
