"""Sweeps read back from real MLflow stores: the report from there is the report of the results themselves."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from orchestrator.analysis.results import ERROR, TrialResult
from orchestrator.analysis.sweeps.stored_sweep import StoredSweep
from orchestrator.common.problems import StoreError
from orchestrator.recorded import sweep_reader as tracking_reader
from orchestrator.recorded.sweep_reader import SweepReader
from orchestrator.reports.stored_reports import StoredReport
from orchestrator.reports.sweep_report import Report
from orchestrator.search.trial_plan import TrialPlan
from tests.orchestrator.database import sqlite_uri
from tests.orchestrator.stored_sweeps import experiment_id, store, store_trial
from tests.orchestrator.sweep_results import small_sweep
from tests.orchestrator.tracking_fixtures import free_port, running
from tests.sweep_process import Sweep

DISTRIBUTIONS = {
    "annealed": {"kl_start": FloatDistribution(0.01, 1.0, log=True)},
    "cyclical": {"cycles": IntDistribution(1, 8), "decoder": CategoricalDistribution(["lstm", "dilated"])},
}


def examined(result: TrialResult) -> TrialResult:
    """With importance-weighted losses of five sentences, and a probe."""
    losses_N = np.linspace(8.0, 9.0, 5) + 1e-13 * len(result.trial_id)
    figures = {"test/iw_nll": float(losses_N.mean()), "test/iw_nll_se": 0.1 + 1e-9, "test/iw_samples": 500.0}
    final = {**result.final, **figures, "test/iw_sentences": 5.0, "probe/accuracy": 1 / 3}
    return dataclasses.replace(result, final=final, iw_losses_N=losses_N)


def noisy(result: TrialResult, number: int) -> TrialResult:
    """With losses that differ from sentence to sentence, so that gains have errors."""
    if result.losses_N is None:
        return result
    noise_N = np.random.default_rng(number).normal(0.0, 0.1, len(result.losses_N))
    return dataclasses.replace(result, losses_N=(result.losses_N + noise_N).astype(np.float32))


def results() -> list[TrialResult]:
    found = [noisy(result, number) for number, result in enumerate(small_sweep())]
    found[:5] = [examined(result) for result in found[:5]]
    lost = TrialPlan("cyclical", "trial", {"cycles": 3, "ramp_share": 0.1 + 0.2}, 0, ("cycles", "ramp_share"))
    return [*found, TrialResult("e0", lost, {}, {}, None, ERROR)]


def read(folder: Path, name: str = "s") -> StoredSweep:
    return SweepReader(sqlite_uri(folder)).read(name)


def assert_same(stored: Report, direct: Report) -> None:
    """Figure for figure, to the last bit."""
    for name in ("runs", "configurations", "at_tokens", "at_seconds"):
        one, two = getattr(stored, name), getattr(direct, name)
        pd.testing.assert_frame_equal(one, two, check_exact=True, check_dtype=False)
    assert stored.markdown(all_rows=True) == direct.markdown(all_rows=True)
    assert stored.metrics() == direct.metrics()
    one, two = ({result.trial_id: found for result, found in each.found()} for each in (stored, direct))
    assert one == two
    assert [curve.name for curve in stored.curves] == [curve.name for curve in direct.curves]
    for one, two in zip(stored.curves, direct.curves, strict=True):
        needed = ["epoch", *tracking_reader.HISTORY]
        pd.testing.assert_frame_equal(one.mean[needed], two.mean[needed], check_exact=True)
        pd.testing.assert_frame_equal(one.error[needed], two.error[needed], check_exact=True)


def test_the_report_from_the_store_is_that_of_the_results(folder: Path) -> None:
    direct = results()
    store(sqlite_uri(folder), "s", direct, entropy_floor=9.0 + 1 / 3, distributions=DISTRIBUTIONS)
    store(sqlite_uri(folder), "other", direct[:2])
    found = read(folder)
    assert (found.title, found.corpus_digest, found.status) == ("small: s", "d1", "FINISHED")
    assert found.entropy_floor == 9.0 + 1 / 3
    assert found.distributions == DISTRIBUTIONS
    assert found.notes == ()
    assert [one.trial_id for one in found.results] == [one.trial_id for one in direct]
    for one, two in zip(found.results, direct, strict=True):
        assert one.plan == two.plan  # floats too: the tag has all their digits
        assert one.final == two.final
        assert one.failure == two.failure
        for ours, theirs in ((one.losses_N, two.losses_N), (one.iw_losses_N, two.iw_losses_N)):
            assert (ours is None) == (theirs is None)
            if ours is not None:
                np.testing.assert_array_equal(ours, theirs)
                assert ours.dtype == theirs.dtype  # type: ignore[union-attr]
    assert_same(
        Report.of(found.title, found.results, found.entropy_floor, found.rounds),
        Report.of("small: s", direct, 9.0 + 1 / 3),
    )


def test_a_later_examination_replaces_what_the_training_found(folder: Path) -> None:
    store(sqlite_uri(folder), "s", results()[:1])
    client = MlflowClient(tracking_uri=sqlite_uri(folder))
    (run,) = client.search_runs(["1"], "tags.`orchestrator.trial_id` = 'b0'")
    values = {point.step: point.value for point in client.get_metric_history(run.info.run_id, "test/iw_nll")}
    assert values == pytest.approx({4: 9.5, 5: 8.5})
    assert read(folder).results[0].final["test/iw_nll"] == values[5]


def test_several_pages_of_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_reader, "_PAGE", 3)
    direct = results()
    store(sqlite_uri(folder), "s", direct)
    assert [one.trial_id for one in read(folder).results] == [one.trial_id for one in direct]


def test_a_sweep_that_still_runs(folder: Path) -> None:
    begun = dataclasses.replace(results()[2], trial_id="i0", final={}, losses_N=None)
    store(sqlite_uri(folder), "s", [*results()[:2], begun], status="RUNNING", with_losses=False)
    found = read(folder)
    assert [one.ended for one in found.results] == [True, True, False]
    assert all(one.losses_N is None for one in found.results)
    assert found.notes == (
        "the sweep is RUNNING: 2 of 3 trials have ended",
        "without losses.npz the gains have no standard errors",
    )
    report = Report.of(found.title, found.results, None)
    assert list(report.configurations["nll_plus_kl"]) == pytest.approx([13.1])


def test_trials_that_cannot_be_read_are_left_out(folder: Path) -> None:
    uri = sqlite_uri(folder)
    store(uri, "s", results()[:4])
    client = MlflowClient(tracking_uri=uri)
    runs = {run.data.tags["orchestrator.trial_id"]: run.info.run_id for run in trials(client)}
    client.delete_tag(runs["b1"], "orchestrator.plan")
    client.set_tag(runs["t0"], "orchestrator.plan", '{"variant": "annea')
    unknown = TrialPlan("of_the_future", "trial", {}, 0).config()
    client.set_tag(runs["r0"], "orchestrator.plan", json.dumps(unknown))
    found = read(folder)
    assert [one.trial_id for one in found.results] == ["b0"]
    assert found.notes == ("3 trials without a plan of a known variant left out",)


def test_artifacts_that_cannot_be_read_cost_errors_alone(folder: Path) -> None:
    uri = sqlite_uri(folder)
    store(uri, "s", results()[:3])
    (losses,) = folder.glob("mlartifacts/*/artifacts/losses.npz")
    losses.write_bytes(b"half a file")
    (spaces,) = folder.glob("mlartifacts/*/artifacts/search_spaces.json")
    spaces.write_text("{")
    found = read(folder)
    assert [one.ended for one in found.results] == [True] * 3
    assert found.notes[0].startswith("losses.npz cannot be read, so the gains have no standard errors: ")
    assert found.notes[1].startswith("search_spaces.json cannot be read, so no knob's importance is known: ")


def test_why_a_trial_failed(folder: Path) -> None:
    uri = sqlite_uri(folder)
    store(uri, "s", [results()[-2], results()[2]])  # one that diverged, one that finished
    client = MlflowClient(tracking_uri=uri)
    assert [one.failure for one in read(folder).results] == ["diverged", None]
    runs = {run.data.tags["orchestrator.trial_id"]: run.info.run_id for run in trials(client)}
    client.delete_tag(runs["c1"], "orchestrator.failure")  # the driver died before it could say why
    client.set_tag(runs["t0"], "orchestrator.failure", "error")  # before a resume
    assert [one.failure for one in read(folder).results] == [ERROR, None]


def trials(client: MlflowClient) -> list:
    return list(client.search_runs(["1"], "tags.`orchestrator.kind` != 'sweep'"))


def test_metrics_that_mlflow_was_not_told_are_missing_alone(folder: Path) -> None:
    first = results()[0]
    history = [dict(epoch) for epoch in first.history]
    history[1]["mutual_information"] = float("nan")
    store(sqlite_uri(folder), "s", [dataclasses.replace(first, history=history)])
    read_back = pd.DataFrame(read(folder).results[0].history)
    assert list(read_back["epoch"]) == [1.0, 2.0, 3.0, 4.0]
    assert list(read_back["mutual_information"].isna()) == [False, True, False, False]
    assert list(read_back["nll"]) == [epoch["nll"] for epoch in history]


# -- names -------------------------------------------------------------------------------------------


def test_an_unknown_sweep_is_answered_with_the_nearest(folder: Path) -> None:
    uri = sqlite_uri(folder)
    for number, name in enumerate(("yelp-1", "embedded-2")):
        store(uri, name, [], start_ms=number + 1)
    reader = SweepReader(uri)
    assert reader.names() == ["embedded-2", "yelp-1"]
    nearest = r"^no sweep 'yelp-2' in sqlite:////.*mlflow\.db; did you mean 'yelp-1'\?$"
    with pytest.raises(StoreError, match=nearest):
        reader.read("yelp-2")
    with pytest.raises(StoreError, match=r"known: embedded-2, yelp-1$"):
        reader.read("quite different")
    with pytest.raises(StoreError, match="both kinds of quotes"):
        reader.read("""it's a "name\"""")


def test_a_store_without_sweeps(folder: Path) -> None:
    with pytest.raises(StoreError, match=r"no sweep 's' in .*; known: none$"):
        read(folder)


def test_two_sweeps_of_one_name(folder: Path) -> None:
    ids = [store(sqlite_uri(folder), "s", results()[:2]) for _ in range(2)]
    with pytest.raises(StoreError, match=r"got 's' 2 times .*: delete all but one of the runs") as error:
        read(folder)
    assert all(run in str(error.value) for run in ids)
    client = MlflowClient(tracking_uri=sqlite_uri(folder))
    client.delete_run(ids[0])
    assert read(folder).run_id == ids[1]


# -- stores that are none ----------------------------------------------------------------------------


def test_no_database_is_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"a database that exists, got no file .*mlflow\.db$"):
        SweepReader(sqlite_uri(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("content", "problem"), [(b"not a database, text" * 99, "file is not a database"),
                                                  (b"", "a database of MLflow, got another")])  # fmt: skip
def test_a_file_that_is_no_store(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "mlflow.db").write_bytes(content)
    start = time.monotonic()
    with pytest.raises(StoreError, match=problem):
        SweepReader(sqlite_uri(tmp_path))
    assert time.monotonic() - start < 5
    assert (tmp_path / "mlflow.db").read_bytes() == content


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_a_server_that_is_down_is_said_within_seconds(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    before = dict(os.environ)
    start = time.monotonic()
    with pytest.raises(StoreError, match="an MLflow that answers, got") as error:
        SweepReader(f"{scheme}://me:secret@127.0.0.1:{free_port()}/x")
    assert time.monotonic() - start < 15
    assert "secret" not in str(error.value)
    assert dict(os.environ) == before


def test_a_server_that_hangs_is_said_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # the user's own goes first
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        with pytest.raises(StoreError, match="an MLflow that answers"):
            SweepReader(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert time.monotonic() - start < 15


@pytest.mark.slow
def test_through_a_server_as_from_the_database(folder: Path) -> None:
    direct, port = results(), free_port()
    arguments = ("--workers", "1", "--backend-store-uri", sqlite_uri(folder))
    destination = ("--artifacts-destination", str(folder / "files"))
    with running("server", *arguments, *destination, folder=folder, port=port):
        uri = f"http://127.0.0.1:{port}"
        client = MlflowClient(tracking_uri=uri)
        client.create_experiment("text-vae-sweep")
        store(uri, "s", direct, entropy_floor=9.0, distributions=DISTRIBUTIONS)
        found = SweepReader(uri).read("s")
    assert found.notes == ()
    assert found.distributions == DISTRIBUTIONS
    assert_same(Report.of("t", found.results, found.entropy_floor), Report.of("t", direct, 9.0))


@pytest.mark.slow
def test_a_report_of_a_real_sweep_equals_its_own(small: tuple[Sweep, list[str]], tmp_path: Path) -> None:
    sweep, _ = small
    found = read(sweep.folder)
    assert found.notes == ()
    StoredReport.of(found).report.write(tmp_path)
    own = sweep.folder / "sweeps" / "s"
    for name in ("frontier.csv", "equal_compute.csv", "frontier.md", "frontier.html"):
        assert (tmp_path / name).read_text() == (own / name).read_text()
    one, two = (pd.read_csv(place / "trials.csv") for place in (tmp_path, own))
    pd.testing.assert_frame_equal(one, two, check_exact=True, check_dtype=False)


@pytest.mark.parametrize(
    ("numbers", "order"),
    [
        ((0, 1, 2), ["b0", "b1", "t0"]),
        ((9, 10, 2), ["t0", "b0", "b1"]),
        ((None, None, 3), ["t0", "b1", "b0"]),
    ],
)
def test_trials_come_in_the_order_of_their_numbers(
    folder: Path, numbers: tuple[int | None, ...], order: list[str]
) -> None:
    """They were started in another one; those without a number come as they were started."""
    uri = sqlite_uri(folder)
    parent, client = store(uri, "s", []), MlflowClient(tracking_uri=uri)
    for started, (number, result) in enumerate(zip(numbers, results()[:3], strict=True)):
        store_trial(client, experiment_id(client, folder), parent, "s", result, number, 1000 - started)
    assert [one.trial_id for one in read(folder).results] == order
