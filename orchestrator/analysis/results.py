"""Results of a sweep's trials as the data frame that the frontier is computed from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orchestrator.analysis.verdict import COLLAPSED_KL
from orchestrator.search.rungs import EARLY
from orchestrator.search.trial_plan import TrialPlan

TEST_FIGURES = (
    "nll", "kl", "nll_plus_kl", "iw_nll", "iw_nll_se", "iw_samples", "iw_sentences", "mutual_information",
    "active_units",
)  # fmt: skip
COSTS = ("seconds", "gpu_seconds", "optimizer_steps", "inner_steps", "tokens")
ERROR = "error"
UNJUDGED = (ERROR, *EARLY)
"""Failures that say nothing of a configuration: the machines' own, and trials that were stopped."""
FINAL = ("final", "losses_N", "failure")
"""What only the last result of a trial has."""


@dataclass(frozen=True)
class TrialResult:
    """A finished training: what was run, its final figures (empty if it failed), its cost, its epochs.

    `losses_N` is NLL + KL of each test sentence in nats, None if the training failed. `failure` is why it
    failed: "diverged", "out_of_memory", ERROR where the machines are to blame, or one of `EARLY` where it was
    stopped. `history` has the metrics of each whole epoch, and `cost` is that of all of them. `iw_losses_N`
    is IW-NLL of each sentence that an examination looked at, None without one.
    """

    trial_id: str
    plan: TrialPlan
    final: Mapping[str, float]
    cost: Mapping[str, float]
    losses_N: NDArray[np.float32] | None = None
    failure: str | None = None
    history: Sequence[Mapping[str, float]] = ()
    iw_losses_N: NDArray[np.float64] | None = None

    @classmethod
    def from_tune(
        cls, trial_id: str, config: Mapping[str, Any], result: Mapping[str, Any], *, errored: bool = False
    ) -> TrialResult:
        """From a trial's configuration and its last result; `errored` if it ended by no fault of its own."""
        history = result.get("history", ())
        metrics = result.get("metrics") or (history[-1] if history else {})
        return cls(
            trial_id,
            TrialPlan.from_config(config),
            result.get("final", {}),
            {name: metrics.get(name, np.nan) for name in COSTS},
            result.get("losses_N"),
            ERROR if errored else result.get("failure"),
            history,
        )

    @property
    def ended(self) -> bool:
        """Whether it was trained to its end or failed; not if the sweep was interrupted meanwhile."""
        return bool(self.final) or self.failure is not None

    @property
    def collapsed(self) -> bool:
        """KL below 0.1 nats per sentence and no active unit, on test."""
        return self.final["test/kl"] < COLLAPSED_KL and self.final["test/active_units"] == 0

    def row(self) -> dict[str, Any]:
        """One row of the frontier's `runs`."""
        plan = self.plan
        about = {
            "trial_id": self.trial_id,
            "variant": plan.variant,
            "kind": plan.kind,
            "decoder": plan.build().decoder_label,
            "seed": plan.seed,
            "knobs": plan.label,
            "failure": self.failure or "",
        }
        figures = {name: self.final.get(f"test/{name}", np.nan) for name in TEST_FIGURES}
        figures["valid_nll_plus_kl"] = self.final.get("best/nll_plus_kl", np.nan)
        figures["still_to_gain"] = self.final.get("still_to_gain", np.nan)
        return about | figures | dict(self.cost)


def runs_frame(results: Iterable[TrialResult]) -> pd.DataFrame:
    """A row a trial."""
    return pd.DataFrame([result.row() for result in results])


def iw_losses_by_trial(results: Iterable[TrialResult]) -> dict[str, NDArray[np.float64]]:
    """IW-NLL of each examined sentence by trial, of the trials that have been examined."""
    return {result.trial_id: result.iw_losses_N for result in results if result.iw_losses_N is not None}


def losses_by_trial(results: Iterable[TrialResult]) -> dict[str, NDArray[np.float64]]:
    """Each sentence's NLL + KL by trial, for paired comparisons."""
    return {
        result.trial_id: result.losses_N.astype(np.float64)
        for result in results
        if result.losses_N is not None
    }


def histories_by_trial(results: Iterable[TrialResult]) -> dict[str, pd.DataFrame]:
    """Each trial's epochs as a data frame, a row an epoch; trials without any are left out.

    `eligible` says which epochs may be the best: those after the pretraining.
    """
    return {result.trial_id: _history(result) for result in results if result.history}


def _history(result: TrialResult) -> pd.DataFrame:
    history = pd.DataFrame(result.history)
    return history.assign(eligible=history["epoch"] > result.plan.build().pretraining.pretraining_epochs)
