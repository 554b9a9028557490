"""Models through the tracker: from the sweep's folder into a registry, and into another one later."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from orchestrator.tracking.models.saved import save_model
from tests.orchestrator.database import sqlite_uri
from tests.orchestrator.tracking_fixtures import Open, Reader, plan
from tests.trainables.trained import texts, trained
from trainables.text.grammar import embedded_corpus

FIGURES = {"test/nll": 12.0, "test/kl": 1.0, "test/nll_plus_kl": 13.0}


def test_models_are_logged_registered_and_named(
    opened: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = embedded_corpus(0, (120, 20, 20))
    model = trained(plan().build().with_knobs({"hidden_size": 8, "embedding_size": 8}), corpus, epochs=1)
    tracker = opened()
    tracker.start_sweep()
    for trial_id in ("t0", "t1"):
        save_model(model.model, tracker.folder / "models" / trial_id)
        tracker.start_trial(trial_id, plan())
        tracker.log_metrics(trial_id, FIGURES, 2)
        tracker.log_model(trial_id, tracker.folder / "models" / trial_id, f"cyclical-{trial_id}", {"kl": "1"})
    tracker.point_aliases({"best-elbo": "t1", "best-at-kl-1": "t1", "best-at-kl-2": "t0"})
    tracker.finish_sweep(status="FINISHED")
    assert tracker.close(60).complete

    elsewhere = f"sqlite:///{folder}/other.db"
    for uri in (elsewhere, sqlite_uri(folder)):  # all of it once more, to another place and to the first
        again = opened(uri)
        again.connect(30)
        assert again.close(60).complete
        reader, client = Reader(uri), MlflowClient(tracking_uri=uri, registry_uri=uri)
        ids = {trial_id: run.info.run_id for trial_id, run in reader.trials().items()}
        versions = client.search_model_versions("name = 's'")
        assert sorted(version.run_id for version in versions) == sorted(ids.values())
        named = {alias: client.get_model_version_by_alias("s", alias).run_id
                 for alias in ("best-elbo", "best-at-kl-1", "best-at-kl-2")}  # fmt: skip
        assert named == {"best-elbo": ids["t1"], "best-at-kl-1": ids["t1"], "best-at-kl-2": ids["t0"]}
        assert reader.history("t0", "test/nll") == [(2, 12.0)], "a model's metrics are no second point"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        loaded = mlflow.pyfunc.load_model("models:/s@best-elbo")
        found = loaded.predict(pd.DataFrame({"sentence": texts(corpus.test, corpus)}))
        assert (found["nll"] + found["kl"]).mean() == pytest.approx(float(model.losses_N.mean()), abs=1e-4)

    last = opened()
    last.start_sweep()
    last.point_aliases({"best-elbo": "t0"})
    last.log_model("t0", last.folder / "models" / "gone", "cyclical-gone", {})
    delivery = last.close(60)
    assert (delivery.others_refused, delivery.error) == (1, f"no model {last.folder}/models/gone")
    present = client.get_registered_model("s").aliases
    assert {alias: client.get_model_version("s", version).run_id for alias, version in present.items()} == {
        "best-elbo": ids["t0"]
    }
