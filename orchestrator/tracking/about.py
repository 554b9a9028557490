"""What a sweep keeps of itself beside its report, in its folder and in MLflow: MLflow alone suffices."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import distribution_to_json

from orchestrator.analysis.results import TrialResult
from orchestrator.common.environment import Environment
from orchestrator.search.plan import SearchPlan
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.tracking.delivery.entries import SWEEP, Input
from trainables.text.splits import Corpus, Split

ENVIRONMENT, SEARCH_SPACES, LOSSES = "environment.json", "search_spaces.json", "losses.npz"
IW_PREFIX = "iw/"
"""Stands before a trial's id where `LOSSES` has IW-NLL."""


def sweep_params(spec: SweepSpec, corpus: Corpus) -> dict[str, str]:
    """Params of the parent run."""
    params = {
        "corpus": str(spec.corpus),
        "corpus_name": corpus.name,
        "digest": corpus.digest,
        "epochs": str(spec.epochs),
        "trials": str(spec.trials),
        "seed": str(spec.seed),
        "replicates": str(spec.replicates),
        "max_replicates": str(spec.most_replicates),
    }
    params |= {name: str(value) for name, value in spec.search.model_dump().items()}
    floor = corpus.entropy_floor
    return params if floor is None else params | {"entropy_floor": repr(floor)}


def corpus_input(corpus: Corpus) -> Input:
    """The corpus as MLflow's dataset, with the sizes of its splits."""

    def sizes(split: Split) -> dict[str, int]:
        return {"sentences": len(split), "words": split.words}

    profile: dict[str, object] = {name: sizes(getattr(corpus, name)) for name in ("train", "valid", "test")}
    profile["vocabulary"] = len(corpus.vocabulary)
    if corpus.entropy_floor is not None:
        profile["entropy_floor_nats"] = corpus.entropy_floor
    return Input(SWEEP, corpus.name, corpus.digest, corpus.source, json.dumps(profile))


def write_about(folder: Path, plan: SearchPlan, cluster: Mapping[str, float]) -> list[Path]:
    """Writes search spaces and environment into the sweep's folder; the files.

    Args:
        cluster: what Ray has: CPU, GPU, and so on.
    """
    spaces = {
        variant.variant: {knob: distribution_to_json(space) for knob, space in variant.distributions.items()}
        for variant in plan.variants
    }
    texts = {SEARCH_SPACES: json.dumps(spaces, indent=1), ENVIRONMENT: Environment.here(cluster).to_json()}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def write_losses(folder: Path, results: Iterable[TrialResult]) -> Path:
    """Writes NLL + KL of each test sentence, and IW-NLL of each examined one, in nats, by trial; the file."""
    arrays: dict[str, Any] = {}
    for result in results:
        if result.losses_N is not None:
            arrays[result.trial_id] = result.losses_N
        if result.iw_losses_N is not None:
            arrays[f"{IW_PREFIX}{result.trial_id}"] = result.iw_losses_N
    path = folder / LOSSES
    np.savez_compressed(path, **arrays)
    return path
