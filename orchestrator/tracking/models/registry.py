"""Models of a sweep in MLflow: logged beside their runs, registered under the sweep's name, with aliases.

Through the given client alone: MLflow's global tracking URI plays no part. All of it can be done again, after
a crash in between or on a resume, and makes nothing twice.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, Metric, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from orchestrator.tracking.models.aliases import is_ours
from orchestrator.tracking.models.saved import MLMODEL, read_model
from orchestrator.tracking.server.settings import ONCE, QUIET, UPLOAD, settings

MODEL_TYPE = "text-vae"
FIGURES = (
    "test/nll", "test/kl", "test/nll_plus_kl", "test/iw_nll", "test/mutual_information", "test/active_units",
)  # fmt: skip
"""Metrics of the run that stand beside its model too."""
_VERSIONS_TAG = "mlflow.modelVersions"


def log_model(
    client: MlflowClient,
    experiment_id: str,
    run_id: str,
    folder: Path,
    name: str,
    *,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Logs the MLflow model in `folder` as the run's, with the run's params and final figures.

    A model of that name that the run has already is found again; one whose upload was cut off is completed.

    Args:
        folder: from `save_model`.
        name: what the model is called beside its run; MLflow allows none of / : . % and quotes in it.

    Returns:
        The logged model's id, as in `models:/ID`.

    Raises:
        MlflowException: MLflow refuses it, or does not answer.
    """
    run = client.get_run(run_id)
    model = _logged(client, experiment_id, run_id, name)
    if model is None:
        with settings(ONCE, over=True):
            model = client.create_logged_model(
                experiment_id, name, run_id, dict(tags or {}), dict(run.data.params), MODEL_TYPE
            )
    if model.status.value == "READY":
        return str(model.model_id)
    points = list(_final_points(client, run))
    if model.model_id not in _outputs(run):
        step = max((point.step for point in points), default=0)
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step)])
    if points:
        linked = [
            Metric(
                point.key, point.value, point.timestamp, point.step, model_id=model.model_id, run_id=run_id
            )
            for point in points
        ]
        client.log_batch(run_id, metrics=linked)
    _upload(client, model, run_id, folder)
    client.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def register(
    client: MlflowClient, registered_name: str, model_id: str, run_id: str, tags: Mapping[str, str]
) -> str:
    """Makes the logged model a version of the registered model, which is made where it is missing.

    Args:
        tags: of the version; those of one that is there already are set anew.

    Returns:
        The version.
    """
    _open_registered(client, registered_name)
    model = client.get_logged_model(model_id)
    # The location and not models:/ID, which MLflow would look up at its global tracking URI.
    source = model.artifact_location
    version = next(
        (found for found in _versions(client, registered_name, run_id) if found.source == source), None
    )
    if version is None:
        with settings(ONCE, over=True):
            version = client.create_model_version(
                registered_name, source, run_id, tags=dict(tags), await_creation_for=0, model_id=model_id
            )
    for key, value in tags.items():
        if version.tags.get(key) != value:
            client.set_model_version_tag(registered_name, str(version.version), key, value)
    _note_version(client, model_id, registered_name, str(version.version))
    return str(version.version)


def point_aliases(client: MlflowClient, registered_name: str, wanted: Mapping[str, str]) -> None:
    """Lets the sweep's aliases point to these versions (alias → version).

    Those of an earlier run of the command are moved, or taken away where they are not wanted any more; an
    alias of the user's own stays.
    """
    try:
        present = client.get_registered_model(registered_name).aliases
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST" or wanted:
            raise
        return
    for alias, version in wanted.items():
        if str(present.get(alias)) != version:
            client.set_registered_model_alias(registered_name, alias, version)
    for alias in present:
        if is_ours(alias) and alias not in wanted:
            client.delete_registered_model_alias(registered_name, alias)


def latest_version(client: MlflowClient, registered_name: str, run_id: str) -> str | None:
    """The newest version of the registered model that came from the run; None where there is none."""
    numbers = [int(found.version) for found in _versions(client, registered_name, run_id)]
    return str(max(numbers)) if numbers else None


def _logged(client: MlflowClient, experiment_id: str, run_id: str, name: str) -> LoggedModel | None:
    """The run's model of that name, a complete one first."""
    condition = f"source_run_id = '{run_id}'"
    found = [
        model
        for model in client.search_logged_models([experiment_id], condition, max_results=100)
        if model.name == name
    ]
    return min(found, key=lambda model: model.status.value != "READY", default=None)


def _outputs(run: Run) -> set[str]:
    return {output.model_id for output in run.outputs.model_outputs} if run.outputs else set()


def _final_points(client: MlflowClient, run: Run) -> Iterator[Metric]:
    """The last point of each of `FIGURES` that the run has."""
    for key in FIGURES:
        if key in run.data.metrics:
            yield max(client.get_metric_history(run.info.run_id, key), key=lambda point: point.step)


def _upload(client: MlflowClient, model: LoggedModel, run_id: str, folder: Path) -> None:
    """The files, then the description once more with what it could not say before: whose model it is."""
    for cache in list(folder.rglob("__pycache__")):  # of someone who loaded it from there
        shutil.rmtree(cache, ignore_errors=True)
    description = read_model(folder)
    description.run_id, description.model_id = run_id, model.model_id
    description.model_uuid, description.artifact_path = model.model_id, model.artifact_location
    with settings(QUIET | UPLOAD, over=True), tempfile.TemporaryDirectory() as scratch:
        description.save(Path(scratch, MLMODEL))
        client.log_model_artifacts(model.model_id, str(folder))
        client.log_model_artifact(model.model_id, str(Path(scratch, MLMODEL)))


def _open_registered(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name, description=f"Text VAEs of the sweep {name}, see its runs.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _versions(client: MlflowClient, name: str, run_id: str) -> Iterator[ModelVersion]:
    token: str | None = None
    while True:
        page = client.search_model_versions(f"name = '{name}' AND run_id = '{run_id}'", page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _note_version(client: MlflowClient, model_id: str, name: str, version: str) -> None:
    """Lets the model's page show that it is registered; a server does that by itself, a database does not."""
    noted = json.loads(client.get_logged_model(model_id).tags.get(_VERSIONS_TAG, "[]"))
    if not any(each["name"] == name and str(each["version"]) == version for each in noted):
        noted.append({"name": name, "version": version})
        client.set_logged_model_tags(model_id, {_VERSIONS_TAG: json.dumps(noted)})
