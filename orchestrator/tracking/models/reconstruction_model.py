"""The code of a trained model in MLflow, copied into each: MLflow runs this file when it loads one.

It may import mlflow, pandas, torch and `trainables` alone; the last travels with the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from trainables.evaluation.trained_model import TrainedModel


class ReconstructionModel(PythonModel):
    """Sentences to their reconstructions with NLL and KL, see `trainables.evaluation.reconstruction`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Reads the weights."""
        trained = TrainedModel.read(Path(context.artifacts["trained"]))
        self.reconstructor = trained.reconstructor()

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """A row for each row of the column `sentence`; `label` beside it where the model is told labels.

        Raises:
            ValueError: a sentence without a word, or not a label of the corpus.
        """
        labels = model_input["label"].tolist() if self.reconstructor.model.told else None
        found = self.reconstructor.reconstruct(model_input["sentence"].tolist(), labels)
        return pd.DataFrame(
            {
                "reconstruction": pd.Series([each.text for each in found], dtype=object),
                "nll": pd.Series([each.nll for each in found], dtype="float64"),
                "kl": pd.Series([each.kl for each in found], dtype="float64"),
            }
        )


mlflow.models.set_model(ReconstructionModel())
