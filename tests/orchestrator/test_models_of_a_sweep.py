"""From the checkpoints of a real small sweep to models that are registered under its name and load."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from ray import tune

from orchestrator.model_aliases import model_aliases
from orchestrator.models import chosen_models
from orchestrator.records import TrialPlan
from orchestrator.tracking import sqlite_uri
from orchestrator.tracking_model import save_model
from orchestrator.tracking_registry import log_model, point_aliases, register
from tests import sweep_process
from tests.orchestrator.tracking_fixtures import Reader
from tests.trainables.trained import texts
from trainables.corpora import load_corpus
from trainables.trainable import trained_model

Small = tuple[sweep_process.Sweep, list[str]]


@pytest.fixture
def database(small: Small, tmp_path: Path) -> Path:
    """A copy of the sweep's database: the sweep itself stays as it is."""
    with (
        closing(sqlite3.connect(small[0].folder / "mlflow.db")) as source,
        closing(sqlite3.connect(tmp_path / "mlflow.db")) as copy,
    ):
        source.backup(copy)
    return tmp_path


def last_checkpoint(folder: Path, trial_id: str) -> tune.Checkpoint:
    (place,) = (folder / "tune").glob(f"*_{trial_id}_*")
    return tune.Checkpoint.from_directory(str(max(place.glob("checkpoint_*"))))


def test_all_of_it(small: Small, database: Path) -> None:
    sweep, _ = small
    folder = sweep.folder / "sweeps" / "s"
    runs = sweep.trials("s")
    for figure in ("nll", "kl", "nll_plus_kl"):
        runs[figure] = pd.to_numeric(runs[figure], errors="coerce")
    frontier = pd.read_csv(folder / "frontier.csv", keep_default_na=False)
    chosen = chosen_models(frontier, runs, "all")
    finished = set(runs["trial_id"][runs["failure"] == ""])
    assert {model.trial_id for model in chosen} == finished

    corpus = load_corpus(sweep.folder / "text.txt", seed=0)
    reader = Reader(sqlite_uri(database))
    client: MlflowClient = reader.client
    trials = reader.trials()
    versions: dict[str, str] = {}
    for model in chosen[:3]:
        run = trials[model.trial_id]
        plan = TrialPlan.from_config(json.loads(run.data.tags["orchestrator.plan"]))
        checkpoint = last_checkpoint(folder, model.trial_id)
        trained = trained_model(checkpoint, plan.config(), corpus, sweep="s", trial_id=model.trial_id)
        place = database / "models" / model.trial_id
        save_model(trained, place)
        run_id, experiment = run.info.run_id, run.info.experiment_id
        model_id = log_model(client, experiment, run_id, place, f"{plan.variant}-{model.trial_id}")
        versions[model.trial_id] = register(client, "s", model_id, run_id, {"variant": plan.variant})
        data = pd.DataFrame({"sentence": texts(corpus.test, corpus)})
        found = mlflow.pyfunc.load_model(str(place)).predict(data)
        # To the last digits but for the order of summation, which is that of the evaluation.
        for figure in ("nll", "kl"):
            assert found[figure].mean() == pytest.approx(run.data.metrics[f"test/{figure}"], abs=1e-5)
    wanted = model_aliases(runs[runs["trial_id"].isin(versions)])
    point_aliases(client, "s", {alias: versions[trial_id] for alias, trial_id in wanted.items()})
    assert len(client.search_model_versions("name = 's'")) == 3
    best = client.get_model_version_by_alias("s", "best-elbo")
    lowest = min(trials[trial_id].data.metrics["test/nll_plus_kl"] for trial_id in versions)
    assert client.get_run(best.run_id).data.metrics["test/nll_plus_kl"] == lowest
    assert "MLFLOW_TRACKING_URI" not in os.environ
