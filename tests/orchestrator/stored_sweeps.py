"""Stores trials in MLflow as a sweep does, by MLflow's own client: for what reads them back."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from optuna.distributions import BaseDistribution, distribution_to_json

from orchestrator.analysis.results import TrialResult

EXPERIMENT = "text-vae-sweep"
START_MS = 1_760_000_000_000


def store(
    uri: str,
    name: str,
    results: Sequence[TrialResult],
    *,
    digest: str = "d1",
    corpus: str = "small",
    entropy_floor: float | None = None,
    distributions: Mapping[str, Mapping[str, BaseDistribution]] | None = None,
    status: str = "FINISHED",
    with_losses: bool = True,
    start_ms: int = START_MS,
) -> str:
    """Writes a parent run and one for each trial, a second apart; the parent's id."""
    client = MlflowClient(tracking_uri=uri)
    experiment = experiment_id(client, Path(uri.removeprefix("sqlite:///")).parent)
    tags = {"orchestrator.sweep": name, "orchestrator.kind": "sweep"}
    parent = str(client.create_run(experiment, start_ms, tags, name).info.run_id)
    params = {"corpus": f"{corpus}:long", "corpus_name": corpus, "digest": digest, "epochs": "4 epochs"}
    if entropy_floor is not None:
        params["entropy_floor"] = repr(entropy_floor)
    client.log_batch(parent, params=[Param(key, value) for key, value in params.items()])
    for number, result in enumerate(results):
        store_trial(client, experiment, parent, name, result, number, start_ms + 1000 * (number + 1))
    with tempfile.TemporaryDirectory() as folder:
        spaces, losses = Path(folder, "search_spaces.json"), Path(folder, "losses.npz")
        spaces.write_text(json.dumps(_spaces(distributions or {})))
        client.log_artifact(parent, str(spaces))
        if with_losses:
            np.savez(losses, **_losses(results))  # type: ignore[arg-type]
            client.log_artifact(parent, str(losses))
    if status != "RUNNING":
        client.set_terminated(parent, status)
    return parent


def experiment_id(client: MlflowClient, folder: Path) -> str:
    """The sweeps' experiment, made if it is not there; its artifacts lie in the folder."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(EXPERIMENT, artifact_location=(folder / "mlartifacts").as_uri()))


def store_trial(
    client: MlflowClient,
    experiment: str,
    parent: str,
    sweep: str,
    result: TrialResult,
    number: int | None,
    start_ms: int,
) -> None:
    plan, epochs = result.plan, len(result.history)
    tags = {
        "orchestrator.sweep": sweep, "orchestrator.kind": plan.kind, "variant": plan.variant,
        "orchestrator.trial_id": result.trial_id, "mlflow.parentRunId": parent,
        "orchestrator.plan": json.dumps(plan.config()),
    }  # fmt: skip
    if number is not None:
        tags["orchestrator.number"] = str(number)
    if result.failure:
        tags["orchestrator.failure"] = result.failure
    run = str(client.create_run(experiment, start_ms, tags).info.run_id)
    points = [
        Metric(key, float(value), start_ms + step, step)
        for step, epoch in enumerate(result.history, 1)
        for key, value in epoch.items()
        if key != "epoch" and np.isfinite(value)  # the tracker drops what MLflow cannot hold
    ]
    if not result.history:
        points += [Metric(key, value, start_ms, 0) for key, value in result.cost.items()]
    examined = result.iw_losses_N is not None
    for key, value in result.final.items():
        later = examined and key.startswith(("test/iw_", "probe/"))
        if later:  # what the training itself found stands a step before
            points.append(Metric(key, float(value) + 1.0, start_ms + epochs, epochs))
        points.append(Metric(key, float(value), start_ms + epochs, epochs + later))
    for first in range(0, len(points), 1000):
        client.log_batch(run, metrics=points[first : first + 1000])
    if result.failure:
        client.set_terminated(run, "FAILED")
    elif result.final:
        client.set_terminated(run, "FINISHED")


def _spaces(distributions: Mapping[str, Mapping[str, BaseDistribution]]) -> dict[str, dict[str, str]]:
    return {
        variant: {knob: distribution_to_json(found) for knob, found in knobs.items()}
        for variant, knobs in distributions.items()
    }


def _losses(results: Sequence[TrialResult]) -> dict[str, np.ndarray]:
    own = {result.trial_id: result.losses_N for result in results if result.losses_N is not None}
    weighted = {
        f"iw/{result.trial_id}": result.iw_losses_N for result in results if result.iw_losses_N is not None
    }
    return {**own, **weighted}
