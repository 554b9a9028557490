"""Models in real MLflow stores: beside their runs, in the registry, found again after a crash."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from orchestrator.tracking.models.registry import FIGURES, log_model, point_aliases, register
from orchestrator.tracking.models.saved import save_model
from tests.orchestrator.database import sqlite_uri
from tests.orchestrator.tracking.models.test_saved import columns_of, in_a_fresh_process, model_of
from tests.orchestrator.tracking.test_server import server_arguments
from tests.orchestrator.tracking_fixtures import free_port, running
from tests.paths import ROOT
from tests.trainables.trained import Trained
from trainables.text.grammar import embedded_corpus
from trainables.text.splits import Corpus

NAME = "sweep-1.2_x"


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return embedded_corpus(3, (96, 40, 30))


@pytest.fixture(scope="module")
def model(corpus: Corpus) -> Trained:
    return model_of("cyclical", corpus)


@pytest.fixture(scope="module")
def saved(model: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "t0"
    save_model(model.model, folder)
    return folder


class Place:
    """An MLflow store with a trial's run in it."""

    def __init__(self, uri: str, artifacts: Path | None) -> None:
        self.uri = uri
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        where = None if artifacts is None else artifacts.as_uri()
        self.experiment = self.client.create_experiment("e", artifact_location=where)
        self.run = self.add_run()

    def add_run(self) -> str:
        run_id: str = self.client.create_run(self.experiment, run_name="cyclical cycles=4").info.run_id
        self.client.log_param(run_id, "cycles", "4")
        for step, value in ((1, 9.0), (2, 8.0)):
            self.client.log_metric(run_id, "nll", value, step=step)
        for key in FIGURES[:-1]:
            self.client.log_metric(run_id, key, 30.25, step=2)
        self.client.log_metric(run_id, "test/iw_nll", 30.0, step=3)
        self.client.set_terminated(run_id)
        return run_id

    def log(self, folder: Path, run: str | None = None, **more: Any) -> str:
        return log_model(self.client, self.experiment, run or self.run, folder, "cyclical-t0", **more)


@pytest.fixture
def store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A database, with another one at the global tracking URI: nothing may look there."""
    other = folder / "other.db"
    with closing(sqlite3.connect(folder / "mlflow.db")) as source, closing(sqlite3.connect(other)) as target:
        source.backup(target)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    place = Place(sqlite_uri(folder), folder / "mlartifacts")
    yield place
    elsewhere = MlflowClient()
    assert [each.name for each in elsewhere.search_experiments()] == ["Default"]
    assert elsewhere.search_registered_models() == []


def check_logged(place: Place, model_id: str) -> None:
    """The model beside its run: params, figures, a link from the run, once."""
    logged = place.client.get_logged_model(model_id)
    assert (logged.name, logged.status.value, logged.model_type) == ("cyclical-t0", "READY", "text-vae")
    assert (logged.source_run_id, logged.params) == (place.run, {"cycles": "4"})
    figures = {metric.key: (metric.value, metric.step) for metric in logged.metrics}
    assert figures == {
        "test/nll": (30.25, 2), "test/kl": (30.25, 2), "test/nll_plus_kl": (30.25, 2),
        "test/mutual_information": (30.25, 2), "test/iw_nll": (30.0, 3),
    }  # fmt: skip
    run = place.client.get_run(place.run)
    assert [(output.model_id, output.step) for output in run.outputs.model_outputs] == [(model_id, 3)]
    for key, points in (("test/nll", 1), ("test/iw_nll", 2)):
        assert len(place.client.get_metric_history(place.run, key)) == points  # linked, not logged again
    assert len(place.client.search_logged_models([place.experiment])) == 1


def test_logged_once_however_often(store: Place, saved: Path) -> None:
    model_id = store.log(saved, tags={"orchestrator.sweep": NAME})
    assert store.log(saved, tags={"orchestrator.sweep": NAME}) == model_id
    check_logged(store, model_id)
    logged = store.client.get_logged_model(model_id)
    assert logged.tags["orchestrator.sweep"] == NAME
    place = Path(logged.artifact_location.removeprefix("file://"))
    files = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
    assert files == {str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file()}
    described = mlflow.models.Model.load(place)
    assert (described.model_id, described.run_id) == (model_id, store.run)
    assert mlflow.models.Model.load(saved).model_id is None  # the folder is as it was


@pytest.mark.parametrize("step", ["log_outputs", "log_batch", "log_model_artifacts", "log_model_artifact",
                                  "finalize_logged_model"])  # fmt: skip
def test_a_crash_in_between_is_made_good(
    store: Place, saved: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise ConnectionError(step)

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, step, crash)
        with pytest.raises(ConnectionError, match=step):
            store.log(saved)
    (pending,) = store.client.search_logged_models([store.experiment])
    assert pending.status.value == "PENDING"
    model_id = store.log(saved)
    assert model_id == pending.model_id
    check_logged(store, model_id)


def test_caches_of_someone_who_loaded_it_are_left_out(store: Place, saved: Path) -> None:
    mlflow.pyfunc.load_model(str(saved))
    cache = saved / "code" / "trainables" / "__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "model.cpython-311.pyc").write_bytes(b"x")
    place = Path(store.client.get_logged_model(store.log(saved)).artifact_location.removeprefix("file://"))
    assert not list(place.rglob("__pycache__"))


def test_registered_once_with_its_tags_and_its_run(store: Place, saved: Path) -> None:
    model_id = store.log(saved)
    assert register(store.client, NAME, model_id, store.run, {"kl": "2.1"}) == "1"
    assert register(store.client, NAME, model_id, store.run, {"kl": "2.2", "variant": "cyclical"}) == "1"
    (version,) = store.client.search_model_versions(f"name = '{NAME}'")
    assert (version.run_id, version.tags) == (store.run, {"kl": "2.2", "variant": "cyclical"})
    assert str(version.status) == "READY"
    tags = store.client.get_logged_model(model_id).tags
    assert tags["mlflow.modelVersions"] == f'[{{"name": "{NAME}", "version": "1"}}]'
    second = store.add_run()
    assert register(store.client, NAME, store.log(saved, second), second, {}) == "2"
    assert register(store.client, NAME, model_id, store.run, {}) == "1"


def test_aliases_move_and_stale_ones_go(store: Place, saved: Path) -> None:
    point_aliases(store.client, NAME, {})  # nothing is registered: nothing to do
    first = register(store.client, NAME, store.log(saved), store.run, {})
    run = store.add_run()
    second = register(store.client, NAME, store.log(saved, run), run, {})

    def aliases() -> dict[str, str]:
        present = store.client.get_registered_model(NAME).aliases
        return {alias: str(version) for alias, version in present.items()}

    point_aliases(store.client, NAME, {"best-elbo": first, "best-at-kl-2": first, "best-at-kl-11": second})
    assert aliases() == {"best-elbo": "1", "best-at-kl-2": "1", "best-at-kl-11": "2"}
    store.client.set_registered_model_alias(NAME, "champion", first)
    for _ in range(2):
        point_aliases(store.client, NAME, {"best-elbo": second, "best-at-kl-3": first})
        assert aliases() == {"best-elbo": "2", "best-at-kl-3": "1", "champion": "1"}
    with pytest.raises(MlflowException):
        point_aliases(store.client, "absent", {"best-elbo": "1"})


@pytest.mark.slow
def test_loaded_by_its_alias_in_a_fresh_process(
    store: Place, saved: Path, model: Trained, corpus: Corpus, tmp_path: Path
) -> None:
    version = register(store.client, NAME, store.log(saved), store.run, {})
    point_aliases(store.client, NAME, {"best-elbo": version})
    check_fresh(store.uri, model, corpus, tmp_path)


def check_fresh(uri: str, model: Trained, corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    data = columns_of(corpus, told=False)
    found, place, heavy = in_a_fresh_process(f"models:/{NAME}@best-elbo", data, tmp_path / "elsewhere", uri)
    total = [nll + kl for nll, kl in zip(found["nll"], found["kl"], strict=True)]
    assert total == pytest.approx(model.losses_N.tolist(), abs=1e-5)
    here = model.model.reconstructor().reconstruct(data["sentence"])
    assert found["reconstruction"] == [each.text for each in here]
    assert not Path(place).is_relative_to(ROOT)
    assert heavy == []


@pytest.mark.slow
def test_a_server_that_passes_artifacts_on(
    tmp_path: Path, saved: Path, model: Trained, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where an empty mlflow.db would be made if anything looked there
    port = free_port()
    with running(*server_arguments(tmp_path), folder=tmp_path, port=port):
        place = Place(f"http://127.0.0.1:{port}", None)
        for _ in range(2):
            model_id = place.log(saved)
            version = register(place.client, NAME, model_id, place.run, {"kl": "2.1"})
            point_aliases(place.client, NAME, {"best-elbo": version, "best-at-kl-2": version})
        assert version == "1"
        check_logged(place, model_id)
        noted = place.client.get_logged_model(model_id).tags["mlflow.modelVersions"]
        assert noted == f'[{{"name": "{NAME}", "version": 1}}]'
        location = place.client.get_logged_model(model_id).artifact_location
        assert location.startswith("mlflow-artifacts:/")
        check_fresh(place.uri, model, corpus, tmp_path)
    assert not (tmp_path / "mlflow.db").exists()
