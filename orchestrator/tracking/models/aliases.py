"""Names for the models that people look for: the best of all, and the best at each rate.

Pure functions on a data frame; figures are in nats per sentence.
"""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd

BEST = "best-elbo"
_AT_KL = "best-at-kl-"
_OURS = re.compile(rf"{BEST}|{_AT_KL}\d+")


def model_aliases(models: pd.DataFrame) -> dict[str, str]:
    """Alias → trial id.

    `best-elbo` is the model with the lowest NLL + KL; `best-at-kl-N`, for each whole N from 1 on that some
    model's KL is nearest to (N − 0.5 ≤ KL < N + 0.5), the one with the lowest NLL + KL among those. There is
    none at 0: such a model has let its latent go. Of equal ones the first in the table is taken; rows that
    are not finite are left out.

    Args:
        models: columns `trial_id`, `kl`, `nll_plus_kl`; without baselines.
    """
    models = models.astype({"kl": "float64", "nll_plus_kl": "float64"})  # an empty table has no types
    finite = models[np.isfinite(models["kl"]) & np.isfinite(models["nll_plus_kl"])]
    ranked = finite.sort_values("nll_plus_kl", kind="stable")
    found: dict[str, str] = {}
    rates: dict[int, str] = {}
    for trial_id, kl in zip(ranked["trial_id"], ranked["kl"], strict=True):
        found.setdefault(BEST, str(trial_id))
        rates.setdefault(math.floor(kl + 0.5), str(trial_id))
    return found | {f"{_AT_KL}{rate}": rates[rate] for rate in sorted(rates) if rate >= 1}


def is_ours(alias: str) -> bool:
    """Whether an alias is one that `model_aliases` gives, and not one of the user's own."""
    return _OURS.fullmatch(alias) is not None
