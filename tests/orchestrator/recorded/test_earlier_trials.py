"""What a search may begin with of earlier sweeps, read back from a real MLflow store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.analysis.results import TrialResult
from orchestrator.recorded.earlier_trials import EarlierTrials, earlier_trials
from orchestrator.search.plan import SearchPlan
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sweep_spec import SweepSpec
from tests.orchestrator.database import sqlite_uri
from tests.orchestrator.stored_sweeps import store
from tests.orchestrator.sweep_results import trained

CYCLICAL = {"cycles": 4, "word_keep_rate": 1.0}


def result(trial_id: str, variant: str, kind: Any, total: float, *, fixed: dict[str, Any] | None = None,
           **knobs: Any) -> TrialResult:  # fmt: skip
    """A training of four epochs that came to this; its knobs are searched but for the fixed ones."""
    found = trained(trial_id, variant, kind, 0, [20.0, 18.0, 16.0, total], **knobs)
    plan = replace(found.plan, knobs={**(fixed or {}), **knobs})
    best = {f"best/{name}": found.final[f"test/{name}"] for name in ("nll", "kl", "nll_plus_kl")}
    return replace(found, plan=plan, final={**found.final, **best})


def read(
    folder: Path, *, digest: str = "d1", epochs: str = "4", fixed: tuple[str, ...] = ()
) -> list[EarlierTrials]:
    file = folder / "s.yaml"
    file.write_text("variants: [cyclical]\npreset:\nsearch: {warm_start: [old]}\n")
    options = {"name": "s", "epochs": epochs, "tracking_uri": sqlite_uri(folder), "set": list(fixed)}
    spec = SweepSpec.load(file, options)
    return earlier_trials(spec, SearchPlan.of(spec), digest)


def test_trials_that_the_search_could_ask_for(tmp_path: Path) -> None:
    spec = SweepSpec.load(None, {"name": "s", "variants": "cyclical"})
    usual, baseline = (dict(plan.knobs) for plan in (spec.search_spaces()["cyclical"], *spec.baselines()))
    store(sqlite_uri(tmp_path), "old", [
        result("b0", "language_model", "baseline", 13.0, fixed=baseline),
        result("b1", "language_model", "baseline", 13.4, fixed=baseline),
        result("t0", "cyclical", "trial", 12.0, fixed=usual, **CYCLICAL),
        result("t1", "cyclical", "trial", 11.0, fixed=usual, **{**CYCLICAL, "cycles": 40}),  # out of range
        result("t2", "cyclical", "trial", 11.0, fixed={**usual, "dropout": 0.9}, **CYCLICAL),  # another model
        result("t3", "annealed", "trial", 11.0, fixed=baseline, kl_start=0.1),  # not searched here
        result("r0", "cyclical", "replicate", 11.0, fixed=usual, **CYCLICAL),
    ])  # fmt: skip
    with pytest.raises(SpecError, match="must have this sweep's length, 5 epochs, got 4"):
        read(tmp_path, epochs="5")
    with pytest.raises(SpecError, match="must have this sweep's corpus, d2, got d1"):
        read(tmp_path, digest="d2")
    (earlier,) = read(tmp_path)
    (known,) = earlier.known
    assert (known.variant, known.params) == ("cyclical", CYCLICAL)
    # NLL + KL 12.0 with a KL of 2.0; the baselines' mean is 13.2.
    assert (known.nll, known.kl) == (pytest.approx(10.0 - 13.2), 2.0)
    assert earlier.note == "old: 1 of 4 trials known to the search"


def test_a_sweep_that_is_not_there(tmp_path: Path) -> None:
    store(sqlite_uri(tmp_path), "other", [result("b0", "language_model", "baseline", 13.0)])
    with pytest.raises(SpecError, match=r"search\.warm_start: no sweep 'old' in .*; known: other"):
        read(tmp_path)
