"""Which runs of a sweep matter: those that its table's figures rest on.

The one answer for all who do more with a run than count it: examination and findings.
"""

from __future__ import annotations

import pandas as pd

from orchestrator.analysis.frontier import best_of_each_variant
from orchestrator.analysis.iw_gain import keys, trials_of_configurations
from trainables.variants import BASELINE


def speakers(configurations: pd.DataFrame, runs: pd.DataFrame) -> dict[str, bool]:
    """The trial ids of the runs of each configuration on the frontier, of each variant's best and of each
    baseline; true for the first run of each with a latent variable, which texts are written for.

    Those come first, best NLL + KL first, and then what uses its latent variable most: they take longest.

    Args:
        configurations, runs: as in `Report`.
    """
    best = configurations.index.isin(best_of_each_variant(configurations).index)
    baseline = configurations["variant"] == BASELINE
    members = trials_of_configurations(runs)
    found: dict[str, bool] = {}
    for key in keys(configurations[configurations["on_frontier"] | best | baseline]):
        for place, trial_id in enumerate(members.get(key, ())):
            found[trial_id] = place == 0 and key[0] != BASELINE
    used = dict(zip(runs.get("trial_id", ()), runs.get("kl", ()), strict=True))
    order = sorted(found, key=lambda trial_id: (0.0, 0.0) if found[trial_id] else (1.0, -used[trial_id]))
    return {trial_id: found[trial_id] for trial_id in order}
