"""The tracker against a real sqlite store: what stands in MLflow afterwards, exactly."""

import json
import math
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.search.trial_plan import TrialPlan
from orchestrator.tracking.tracker import MlflowTracker
from tests.orchestrator.database import sqlite_uri
from tests.orchestrator.tracking_fixtures import EXPERIMENT, Open, Reader, complete, delivered, plan


def test_a_sweep_as_it_stands_in_mlflow(opened: Open, reader: Reader, folder: Path) -> None:
    (folder / "sweep.yaml").write_text("corpus: grammar\n")
    (folder / "frontier.csv").write_text("nll,kl\n")
    tracker = opened()
    assert tracker.start_sweep(params={"epochs": "2"}, files=[folder / "sweep.yaml"]) is None
    tracker.start_trial("t0", plan(cycles=3))
    tracker.start_trial("t1", TrialPlan("language_model", "baseline", {}, 7))
    for epoch in (1, 2):
        tracker.log_metrics("t0", {"nll": 10.0 - epoch, "train/nll": 9, "active_units": epoch}, epoch)
    tracker.log_metrics("t0", {"test/nll": 8.5, "best/nll": 8.0}, 2)
    tracker.end_trial("t0", "FINISHED")
    tracker.end_trial("t1", "FAILED")
    tracker.tag_trials({"t0": {"frontier": "true", "collapsed": "false"}})
    tracker.finish_sweep(
        status="FINISHED",
        metrics={"hypervolume": 1.5},
        artifacts=[folder / "frontier.csv"],
        note="# Done",
    )
    assert tracker.close(30) == complete(9)

    parent, trials = reader.parent(), reader.trials()
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name == "s"
    assert parent.data.params == {"epochs": "2"}
    assert parent.data.metrics == {"hypervolume": 1.5}
    assert parent.data.tags == {
        "orchestrator.sweep": "s",
        "orchestrator.kind": "sweep",
        "mlflow.runName": "s",
        "mlflow.note.content": "# Done",
    }
    assert reader.artifacts() == ["frontier.csv", "sweep.yaml"]
    assert (folder / "mlartifacts" / parent.info.run_id / "artifacts" / "frontier.csv").is_file()

    trial = trials["t0"]
    assert trial.info.status == "FINISHED"
    assert trial.data.tags == {
        "orchestrator.sweep": "s",
        "orchestrator.kind": "trial",
        "orchestrator.trial_id": "t0",
        "variant": "cyclical",
        "frontier": "true",
        "collapsed": "false",
        "orchestrator.number": "0",
        "mlflow.runColor": "#F2CFB2",
        "orchestrator.plan": json.dumps(plan(cycles=3).config()),
        "mlflow.parentRunId": parent.info.run_id,
        "mlflow.runName": "cyclical cycles=3 ramp_share=0.5",
    }
    knobs = {name: str(value) for name, value in plan(cycles=3).build().knobs().items()}
    about = {"variant": "cyclical", "kind": "trial", "seed": "1", "decoder_label": "lstm"}
    about |= {"cyclical/kind": "trial"}
    assert trial.data.params == knobs | about
    assert trial.data.params["cycles"] == "3"
    assert reader.history("t0", "nll") == [(1, 9.0), (2, 8.0)]
    assert reader.history("t0", "active_units") == [(1, 1.0), (2, 2.0)]
    assert reader.history("t0", "test/nll") == [(2, 8.5)]
    points = reader.client.get_metric_history(trial.info.run_id, "nll")
    assert all(trial.info.start_time <= point.timestamp <= trial.info.end_time for point in points)

    assert trials["t1"].info.status == "FAILED"
    assert trials["t1"].info.run_name == "language_model (baseline, seed 7)"
    assert trials["t1"].data.tags["orchestrator.kind"] == "baseline"
    view = [tag for tag in reader.client.get_experiment_by_name(EXPERIMENT).tags if "sharedViewState" in tag]
    assert len(view) == 1


def test_a_resumed_sweep_continues_its_runs(opened: Open, reader: Reader) -> None:
    first = opened()
    first.start_sweep(params={"epochs": "3"})
    for trial_id in ("t0", "t1"):
        first.start_trial(trial_id, plan())
        for epoch in (1, 2):
            first.log_metrics(trial_id, {"nll": float(epoch)}, epoch)
    first.end_trial("t0", "FINISHED")
    first.finish_sweep(status="KILLED", metrics={"hypervolume": 1.0})
    assert first.close(30).complete
    assert {trial_id: run.info.status for trial_id, run in reader.trials().items()} == {
        "t0": "FINISHED",
        "t1": "KILLED",
    }
    assert reader.parent().info.status == "KILLED"
    ids = {run.info.run_id for run in reader.runs()}

    second = opened()
    second.start_sweep(params={"epochs": "3"})
    second.start_trial("t1", plan())
    delivered(second, 30)
    assert reader.trials()["t1"].info.status == reader.parent().info.status == "RUNNING"
    for epoch in (2, 3):  # its checkpoint was of epoch 1; a little time has passed
        second.log_metrics("t1", {"nll": float(epoch), "new": 1.0}, epoch)
    second.end_trial("t1", "FINISHED")
    second.tag_trials({"t0": {"frontier": "true"}})
    second.finish_sweep(status="FINISHED", metrics={"hypervolume": 2.0})
    assert second.close(30).complete

    assert {run.info.run_id for run in reader.runs()} == ids
    assert {run.info.status for run in reader.runs()} == {"FINISHED"}
    assert reader.history("t1", "nll") == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert reader.history("t1", "new") == [(2, 1.0), (3, 1.0)]
    assert reader.trials()["t0"].data.tags["frontier"] == "true"
    assert reader.parent().data.metrics == {"hypervolume": 2.0}


def test_a_trial_that_is_run_again_repeats_no_step(opened: Open, reader: Reader) -> None:
    tracker = opened()
    tracker.start_trial("t0", plan())
    for epoch in (1, 2, 1, 2, 3):
        tracker.log_metrics("t0", {"nll": float(epoch)}, epoch)
        tracker.start_trial("t0", plan())
    assert tracker.close(30) == complete(3)
    assert reader.history("t0", "nll") == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_a_param_that_changed_keeps_its_value_and_costs_nothing_else(
    opened: Open, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    for trials in ("10", "20"):
        tracker = opened()
        tracker.start_sweep(params={"trials": trials, f"only {trials}": "x"})
        assert tracker.close(30).complete
    assert reader.parent().data.params == {"trials": "10", "only 10": "x", "only 20": "x"}
    assert "trials of sweep s stays '10' in MLflow, now '20'" in caplog.text


def test_values_that_are_not_finite_are_dropped(opened: Open, reader: Reader) -> None:
    tracker = opened()
    tracker.start_trial("t0", plan())
    tracker.log_metrics("t0", {"nll": 1.0, "kl": math.nan, "a": math.inf, "b": -math.inf}, 1)
    assert tracker.close(30) == complete(1)
    assert reader.trials()["t0"].data.metrics == {"nll": 1.0}
    assert reader.trials()["t0"].data.tags["diverged"] == "true"


def test_a_metric_with_an_impossible_name_is_lost_alone(opened: Open, reader: Reader) -> None:
    tracker = opened()
    tracker.start_trial("t0", plan())
    tracker.log_metrics("t0", {"nll": 1.0, "nll+kl": 2.0, "../x": 3.0, "n" * 251: 4.0}, 1)
    delivery = tracker.close(30)
    assert (delivery.points_delivered, delivery.points_refused, delivery.undelivered) == (1, 3, False)
    assert (
        delivery.error
        == "a metric's name must consist of letters, digits and _ - . : / and spaces, got 'nll+kl'"
    )
    assert str(delivery) == (
        f"1 metric point delivered; 3 points and 0 other entries refused: {delivery.error}"
    )
    assert reader.trials()["t0"].data.metrics == {"nll": 1.0}


def test_long_texts_are_shortened_visibly(opened: Open, reader: Reader) -> None:
    tracker = opened()
    tracker.start_sweep(params={"corpus": "x" * 6000, "list": "y" * 6001})
    tracker.start_trial("t0", plan())
    tracker.tag_trials({"t0": {"t": "z" * 9000}})
    tracker.finish_sweep(status="FINISHED", note="line ä\n" * 2000)
    assert tracker.close(30).complete
    data = reader.parent().data
    assert data.params["corpus"] == "x" * 6000
    assert len(data.params["list"]) == 6000
    assert data.params["list"].endswith("yy … [shortened, 6001 characters]")
    assert data.tags["orchestrator.shortened"] == "list"
    assert reader.trials()["t0"].data.tags["t"].endswith("zz … [shortened, 9000 characters]")
    note = data.tags["mlflow.note.content"]
    assert 7900 < len(note) <= 8000
    assert note.endswith("line ä\n\n*Shortened: 14000 characters in all.*")


def test_more_than_a_request_can_hold(opened: Open, reader: Reader) -> None:
    tracker = opened()
    names = [f"n{number}" for number in range(250)]
    tracker.start_sweep(params=dict.fromkeys(names, "p"))
    tracker.start_trial("t0", plan())
    tracker.tag_trials({"t0": dict.fromkeys(names, "t" * 1000)})
    for epoch in range(10):
        tracker.log_metrics("t0", dict.fromkeys(names, float(epoch)), epoch)
    assert tracker.close(60) == complete(2500)
    assert reader.parent().data.params == dict.fromkeys(names, "p")
    assert reader.trials()["t0"].data.tags.items() >= dict.fromkeys(names, "t" * 1000).items()
    assert reader.history("t0", "n249") == [(epoch, float(epoch)) for epoch in range(10)]


def test_sweeps_do_not_touch_each_other(opened: Open, folder: Path) -> None:
    for sweep in ("it's one", 'a "second"'):
        tracker = opened(sweep=sweep)
        tracker.start_sweep()
        tracker.start_trial("t0", plan())
        tracker.log_metrics("t0", {"nll": 1.0}, 1)
        tracker.finish_sweep(status="FINISHED")
        assert tracker.close(30) == complete(1)
    client = MlflowClient(tracking_uri=sqlite_uri(folder))
    assert len(client.search_runs([tracker.experiment_id])) == 4
    with pytest.raises(ValueError, match="both kinds of quotes"):
        MlflowTracker(sqlite_uri(folder), "a\"b'c", folder)
    with pytest.raises(ValueError, match="1 to 250 characters, got ''"):
        MlflowTracker(sqlite_uri(folder), "", folder)


def test_a_clock_that_is_put_back_changes_nothing(
    opened: Open, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour back in the middle of a sweep, another before it is resumed."""
    now, hour = time.time_ns(), 3600 * 10**9
    for start, hypervolume in ((now, 1.5), (now - 2 * hour, 2.5)):
        monkeypatch.setattr(time, "time_ns", lambda start=start: start)
        tracker = opened()
        tracker.start_sweep()
        tracker.start_trial("t0", plan(cycles=3))
        monkeypatch.setattr(time, "time_ns", lambda start=start: start - hour)
        tracker.log_metrics("t0", {"nll": 9.0}, 1)
        tracker.end_trial("t0", "FINISHED")
        tracker.finish_sweep(status="FINISHED", metrics={"hypervolume": hypervolume})
        tracker.close(30)
    assert reader.parent().data.metrics == {"hypervolume": 2.5}
    for run in (reader.parent(), *reader.trials().values()):
        assert 0 <= run.info.end_time - run.info.start_time < 60_000
