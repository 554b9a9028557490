"""One trial read back from a real store."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from orchestrator.common.environment import Environment
from orchestrator.recorded.trial import NoTrialError
from orchestrator.recorded.trial_reader import recorded_trial
from orchestrator.search.trial_plan import TrialPlan
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.tracking.tracker import MlflowTracker
from tests.orchestrator.database import sqlite_uri
from tests.orchestrator.tracking_fixtures import Open, Reader, delivered, plan

PLAN = TrialPlan("cyclical", "trial", {"cycles": 3, "ramp_share": 0.1 + 0.2}, 9, ("cycles",))


def write_files(folder: Path, environment: str | None) -> list[Path]:
    spec = SweepSpec.load(None, {"name": "s", "epochs": 5, "storage": str(folder)})
    (folder / "sweep.yaml").write_text(spec.to_yaml())
    if environment is not None:
        (folder / "environment.json").write_text(environment)
    return [folder / "sweep.yaml", *([folder / "environment.json"] if environment is not None else [])]


def record(tracker: MlflowTracker, *files: Path, digest: str | None = "abc") -> None:
    tracker.start_sweep(params={"digest": digest} if digest else {})
    tracker.start_trial("t0", PLAN)
    tracker.log_metrics("t0", {"nll": 2.5}, 1)
    tracker.log_metrics("t0", {"nll": 1.5, "test/iw_nll": 3.25}, 2)
    tracker.log_metrics("t0", {"test/iw_nll": 3.0}, 3)
    tracker.end_trial("t0", "FINISHED")
    tracker.finish_sweep(status="FINISHED", artifacts=files)
    assert tracker.close(30).complete


def test_everything_that_is_recorded(opened: Open, folder: Path) -> None:
    here = Environment.here()
    other = dataclasses.replace(here, packages={**here.packages, "torch": "1.0"})
    record(opened(), *write_files(folder, other.to_json()))
    trial = recorded_trial(sqlite_uri(folder), "s/t0")
    assert (trial.sweep, trial.trial_id, trial.plan, trial.digest) == ("s", "t0", PLAN, "abc")
    assert (trial.spec.epochs.most, trial.spec.folder) == (5, folder / "s")
    assert trial.environment == other
    assert (trial.finished, trial.failure) == (True, None)
    assert trial.points == {
        ("nll", 1): 2.5, ("nll", 2): 1.5, ("test/iw_nll", 2): 3.25, ("test/iw_nll", 3): 3.0,
    }  # fmt: skip


def test_what_is_not_recorded_or_of_another_version(opened: Open, folder: Path) -> None:
    record(opened(), *write_files(folder, '{"future": 1}'), digest=None)
    trial = recorded_trial(sqlite_uri(folder), "s/t0")
    assert (trial.digest, trial.environment) == (None, None)


def test_a_sweep_without_its_spec(opened: Open, folder: Path) -> None:
    record(opened())
    with pytest.raises(NoTrialError, match=r"the sweep's run must hold sweep\.yaml, got none"):
        recorded_trial(sqlite_uri(folder), "s/t0")


def test_a_spec_of_another_version(opened: Open, folder: Path) -> None:
    (folder / "sweep.yaml").write_text("epochs: 5\nfuture: 1\n")
    record(opened(), folder / "sweep.yaml")
    with pytest.raises(SpecError, match=r"sweep\.yaml:2: unknown key 'future'"):
        recorded_trial(sqlite_uri(folder), "s/t0")


@pytest.mark.parametrize(
    ("tags", "status", "expected"),
    [
        ({"orchestrator.failure": "out_of_memory"}, "FAILED", (False, "out_of_memory")),
        ({"diverged": "true"}, "FAILED", (False, "diverged")),  # as it was before there was such a tag
        ({}, "FAILED", (False, "error")),
        ({}, "KILLED", (False, None)),
        ({"diverged": "true"}, "FINISHED", (True, None)),  # a value of an epoch was not finite
    ],
)
def test_how_it_ended(
    opened: Open, folder: Path, tags: dict[str, str], status: str, expected: tuple[bool, str | None]
) -> None:
    tracker = opened()
    record(tracker, *write_files(folder, None))
    again = opened()
    again.start_sweep()
    again.tag_trials({"t0": tags})
    again.end_trial("t0", status)  # type: ignore[arg-type]
    assert again.close(30).complete
    trial = recorded_trial(sqlite_uri(folder), "s/t0")
    assert (trial.finished, trial.failure) == expected


def test_a_run_of_someone_else_and_one_of_an_older_version(
    opened: Open, folder: Path, reader: Reader
) -> None:
    tracker = opened()
    tracker.start_sweep()
    tracker.start_trial("t0", plan())
    assert delivered(tracker, 30)
    client, run_id = reader.client, reader.trials()["t0"].info.run_id
    client.delete_tag(run_id, "orchestrator.plan")
    with pytest.raises(NoTrialError, match=r"must have the tag orchestrator\.plan, got none"):
        recorded_trial(sqlite_uri(folder), run_id)
    foreign = client.create_run("0").info.run_id
    with pytest.raises(NoTrialError, match="RUN must be a run of one of this program's sweeps"):
        recorded_trial(sqlite_uri(folder), foreign)
