"""How long earlier trainings were, read back from a real MLflow store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.analysis.results import TrialResult
from orchestrator.recorded.earlier_lengths import EarlierLengths
from orchestrator.search.costs import Trained
from orchestrator.search.plan import SearchPlan
from orchestrator.spec.sweep_spec import SweepSpec
from tests.orchestrator.database import sqlite_uri
from tests.orchestrator.stored_sweeps import store
from tests.orchestrator.sweep_results import trained
from trainables.text.batches import count_batches
from trainables.text.grammar import embedded_corpus

CORPUS = embedded_corpus(0, (60, 5, 5))
CYCLICAL = {"cycles": 4, "word_keep_rate": 1.0}


def training(
    trial_id: str,
    variant: str,
    kind: Any,
    epochs: int,
    fixed: dict[str, Any],
    *,
    inner: float = 0.0,
    failure: str | None = None,
    **knobs: Any,
) -> TrialResult:
    """One of three steps an epoch."""
    found = trained(trial_id, variant, kind, 0, [16.0] * epochs, failure=failure, **knobs)
    steps = [{"optimizer_steps": 3 * each["epoch"], "inner_steps": inner} for each in found.history]
    history = [{**each, **own} for each, own in zip(found.history, steps, strict=True)]
    return replace(found, plan=replace(found.plan, knobs={**fixed, **knobs}), history=history)


def lengths(folder: Path, *, epochs: str = "4", batch_size: int = 60) -> EarlierLengths:
    file = folder / "s.yaml"
    file.write_text("variants: [cyclical, aggressive]\npreset:\n")
    options = {"name": "s", "epochs": epochs, "tracking_uri": sqlite_uri(folder)}
    spec = SweepSpec.load(file, {**options, "set": [f"batch_size={batch_size}"]})
    return EarlierLengths.of(spec, SearchPlan.of(spec), CORPUS)


def fixed(variant: str) -> dict[str, Any]:
    spec = SweepSpec.load(None, {"name": "s", "variants": "cyclical,aggressive", "set": ["batch_size=60"]})
    plans = {each.variant: each for each in (*spec.baselines(), *spec.search_spaces().values())}
    return dict(plans[variant].knobs)


def test_means_of_trainings_with_the_same_fixed_knobs(tmp_path: Path) -> None:
    assert count_batches(CORPUS.train, 60) == 3  # a batch of each length
    uri, aggressive = sqlite_uri(tmp_path), {"aggressive_epochs": 1, "anneal_rate": 0.1, "kl_start": 0.1}
    base, cyclical, ahead = (fixed(name) for name in ("language_model", "cyclical", "aggressive"))
    store(uri, "first", [
        training("b0", "language_model", "baseline", 4, base),
        training("c0", "cyclical", "trial", 6, cyclical, **CYCLICAL),
    ], digest=CORPUS.digest, start_ms=1)  # fmt: skip
    store(uri, "second", [
        training("c1", "cyclical", "replicate", 9, cyclical, **CYCLICAL),
        training("c2", "cyclical", "trial", 99, {**cyclical, "dropout": 0.9}, **CYCLICAL),
        training("c3", "cyclical", "trial", 1, cyclical, failure="diverged", **CYCLICAL),
        training("a0", "aggressive", "trial", 5, ahead, inner=60.0, **aggressive),
    ], digest=CORPUS.digest, start_ms=100_000)  # fmt: skip
    store(uri, "elsewhere", [training("c4", "cyclical", "trial", 50, cyclical, **CYCLICAL)])
    found = lengths(tmp_path)
    assert found.sweeps == ("second", "first")
    assert found.trained == {
        "language_model": Trained(4.0, 4.0),
        "cyclical": Trained(7.5, 7.5),  # 6 and 9
        "aggressive": Trained(5.0, 25.0),  # 60 inner steps are 20 epochs
    }


@pytest.mark.parametrize("other", [{"epochs": "5"}, {"batch_size": 30}])
def test_none_of_another_length_or_model(tmp_path: Path, other: dict[str, Any]) -> None:
    kept = training("b0", "language_model", "baseline", 4, fixed("language_model"))
    store(sqlite_uri(tmp_path), "old", [kept], digest=CORPUS.digest)
    assert lengths(tmp_path).trained.keys() == {"language_model"}
    assert lengths(tmp_path, **other) == EarlierLengths()


def test_none_without_a_store(tmp_path: Path) -> None:
    assert lengths(tmp_path) == EarlierLengths()
    assert not (tmp_path / "mlflow.db").exists()
