"""Trained models of a sweep, as MLflow models: saved in its folder, then logged and registered."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.analysis.results import TrialResult
from orchestrator.reports.sweep_report import Report
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.tracking.models.choice import ChosenModel, chosen_models
from orchestrator.tracking.tracker import MlflowTracker
from trainables.checkpoints import Checkpoint, trained_model
from trainables.text.splits import Corpus

logger = logging.getLogger(__name__)

FOLDER = "models"
_FIGURES = ("test/nll", "test/kl", "test/nll_plus_kl", "test/iw_nll")


@dataclass(frozen=True)
class ModelKeeper:
    """Keeps the models that the spec asks for. One that cannot be kept is named, and costs nothing else."""

    spec: SweepSpec
    corpus: Corpus
    tracker: MlflowTracker

    def keep(self, report: Report, checkpoints: Mapping[str, Checkpoint | None]) -> None:
        """Saves what is not saved yet, and tells the tracker of all.

        Args:
            checkpoints: by trial id.
        """
        results = {result.trial_id: result for result in report.results}
        aliases: dict[str, str] = {}
        for model in chosen_models(report.configurations, report.runs, self.spec.models):
            result = results[model.trial_id]
            try:
                folder = self._saved(model, result, checkpoints.get(model.trial_id))
            except Exception as error:  # a model never costs the report
                logger.warning("no model of %s, %s: %s", result.plan.variant, model.trial_id, error)
                continue
            self.tracker.log_model(
                model.trial_id, folder, f"{result.plan.variant}-{model.trial_id}", _tags(result)
            )
            aliases |= dict.fromkeys(model.aliases, model.trial_id)
        self.tracker.point_aliases(aliases)

    def _saved(self, model: ChosenModel, result: TrialResult, checkpoint: Checkpoint | None) -> Path:
        from orchestrator.tracking.models.saved import (  # brings MLflow's models: a second
            is_saved,
            save_model,
        )

        folder = self.spec.folder / FOLDER / model.trial_id
        if not is_saved(folder):
            config, sweep = result.plan.config(), self.spec.name
            trained = trained_model(checkpoint, config, self.corpus, sweep=sweep, trial_id=model.trial_id)
            save_model(trained, folder)
        return folder


def _tags(result: TrialResult) -> dict[str, str]:
    """Of the registered version: what it is, and its figures in nats per sentence."""
    about = {"variant": result.plan.variant, "knobs": result.plan.label, "seed": str(result.plan.seed)}
    figures = {name: f"{result.final[name]:.4f}" for name in _FIGURES if name in result.final}
    return {name: value for name, value in (about | figures).items() if value}
