"""The models of a real small sweep: registered under its name, each what its run was."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from tests import sweep_process
from tests.orchestrator.database import sqlite_uri
from tests.orchestrator.tracking_fixtures import Reader
from tests.trainables.trained import texts
from trainables.text.corpora import load_corpus

Small = tuple[sweep_process.Sweep, list[str]]


def test_every_finished_trial_has_its_model(small: Small) -> None:
    """The sweep's spec asks for all of them."""
    sweep, _ = small
    uri = sqlite_uri(sweep.folder)
    runs = sweep.trials("s")
    finished = set(runs["trial_id"][runs["failure"] == ""])
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    trials = {run.info.run_id: trial_id for trial_id, run in Reader(uri).trials().items()}
    versions = client.search_model_versions("name = 's'")
    assert sorted(trials[version.run_id] for version in versions) == sorted(finished)
    folders = {path.name for path in (sweep.folder / "sweeps" / "s" / "models").iterdir()}
    assert folders == finished


def test_a_model_gives_the_figures_of_its_run(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep, _ = small
    uri = sqlite_uri(sweep.folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    corpus = load_corpus(sweep.folder / "text.txt", seed=0)
    data = pd.DataFrame({"sentence": texts(corpus.test, corpus)})
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    of_variants = {version.tags["variant"]: version for version in client.search_model_versions("name = 's'")}
    assert set(of_variants) == {"language_model", "vanilla", "cyclical"}
    for version in of_variants.values():
        run = client.get_run(version.run_id)
        found = mlflow.pyfunc.load_model(f"models:/s/{version.version}").predict(data)
        # To the last digits but for the order of summation, which is that of the evaluation.
        for figure in ("nll", "kl"):
            assert found[figure].mean() == pytest.approx(run.data.metrics[f"test/{figure}"], abs=1e-5)
            assert version.tags[f"test/{figure}"] == f"{run.data.metrics[f'test/{figure}']:.4f}"


def test_nothing_of_this_machine_is_in_a_model(small: Small) -> None:
    sweep, _ = small
    (folder, *_) = sorted((sweep.folder / "sweeps" / "s" / "models").iterdir())
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in ("", ".json", ".yaml", ".txt", ".py"):
            assert str(Path(sweep_process.ROOT)) not in path.read_text(encoding="utf-8"), path
