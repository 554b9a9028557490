"""A trained model as an MLflow model: a folder that `mlflow.pyfunc.load_model` loads without this package.

The folder holds weights, vocabulary and the source of `trainables`, and nothing that is unpickled.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import mlflow
import pandas as pd
import yaml
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import FLAVOR_NAME
from mlflow.types import ColSpec, DataType, Schema

import trainables
from orchestrator.tracking.server.settings import quiet
from trainables.evaluation.trained_model import Description, TrainedModel

CODE = Path(__file__).with_name("reconstruction_model.py")
MLMODEL = "MLmodel"
_REQUIRED = ("mlflow", "torch", "numpy", "pandas")


def save_model(trained: TrainedModel, folder: Path) -> None:
    """Writes the MLflow model, whole or not at all; a folder that is there already stays as it is.

    Its input is a column `sentence`, words with spaces between, and where the model is told labels a column
    `label`; its output `reconstruction`, `nll` and `kl`, see `trainables.evaluation.reconstruction`.
    """
    if is_saved(folder):
        return
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        files = Path(scratch, "trained")
        files.mkdir()
        trained.write(files)
        with quiet():
            mlflow.pyfunc.save_model(
                partial,
                python_model=CODE,
                artifacts={"trained": str(files)},
                code_paths=[os.path.dirname(trainables.__file__)],
                pip_requirements=requirements(),
                signature=signature(trained.description.told),
                input_example=example(trained.description),
                metadata=_metadata(trained.description),
                uv_project_path=scratch,  # or MLflow would take along the lock file of wherever we are
            )
    _forget_paths(partial)
    os.replace(partial, folder)


def is_saved(folder: Path) -> bool:
    """Whether `save_model` has written its model there."""
    return (folder / MLMODEL).is_file()


def read_model(folder: Path) -> Model:
    """MLflow's description of the model in a folder; MLflow's own reader decodes a `%` in the path."""
    return Model.from_dict(yaml.safe_load((folder / MLMODEL).read_text(encoding="utf-8")))


def signature(told: bool) -> ModelSignature:
    """Columns and types of input and output."""
    inputs = ["sentence", *(["label"] if told else [])]
    outputs = {"reconstruction": DataType.string, "nll": DataType.double, "kl": DataType.double}
    return ModelSignature(
        Schema([ColSpec(DataType.string, name) for name in inputs]),
        Schema([ColSpec(kind, name) for name, kind in outputs.items()]),
    )


def example(description: Description) -> pd.DataFrame:
    """A sentence of the corpus, as the model takes it."""
    columns = {"sentence": description.example} | (
        {"label": description.example_label} if description.told else {}
    )
    return pd.DataFrame([columns])


def requirements() -> list[str]:
    """What loads a model, in the versions that are here; without the local part such as "+cpu"."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in _REQUIRED]


def _metadata(description: Description) -> dict[str, str]:
    return {
        "variant": description.variant,
        "sweep": description.sweep,
        "trial_id": description.trial_id,
        "corpus": description.corpus,
    }


def _forget_paths(folder: Path) -> None:
    """MLflow notes where the files came from on this machine; what it reads is the names inside."""
    model = read_model(folder)
    flavor = model.flavors[FLAVOR_NAME]
    flavor["model_code_path"] = CODE.name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]
    model.save(folder / MLMODEL)
