"""Which runs of a sweep become models, and under which aliases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from orchestrator.analysis.iw_gain import keys, trials_of_configurations
from orchestrator.tracking.models.aliases import model_aliases
from trainables.variants import BASELINE

Choice = Literal["frontier", "all", "none"]


@dataclass(frozen=True)
class ChosenModel:
    """A run whose weights are kept as a model, and the aliases that point to it."""

    trial_id: str
    aliases: tuple[str, ...]


def chosen_models(configurations: pd.DataFrame, runs: pd.DataFrame, choice: Choice) -> list[ChosenModel]:
    """The runs whose models are kept, those of the frontier first, best NLL + KL of a configuration first.

    "frontier" takes the speaking run (see `speakers`) of each configuration on the frontier but the
    baselines', "all" adds every other run that finished. Aliases are given among the former alone, by the
    figures of the model itself: those of its run, not the means over the configuration's runs.

    Args:
        configurations, runs: as in `Report`.
    """
    if choice == "none" or runs.empty:
        return []
    speaking = _speaking(configurations, runs)
    models = runs.set_index("trial_id", drop=False).loc[speaking]
    by_trial: dict[str, list[str]] = {trial_id: [] for trial_id in speaking}
    for alias, trial_id in model_aliases(models).items():
        by_trial[trial_id].append(alias)
    if choice == "all":
        for trial_id in runs["trial_id"][np.isfinite(runs["nll_plus_kl"])]:
            by_trial.setdefault(str(trial_id), [])
    return [ChosenModel(trial_id, tuple(aliases)) for trial_id, aliases in by_trial.items()]


def _speaking(configurations: pd.DataFrame, runs: pd.DataFrame) -> list[str]:
    members = trials_of_configurations(runs)
    wanted = configurations["on_frontier"] & (configurations["variant"] != BASELINE)
    return [members[key][0] for key in keys(configurations[wanted])]
