"""The gain over the baseline once more, by the importance-weighted NLL: a tighter bound than NLL + KL.

On the test sentences that every examined run has values for, in nats per sentence.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from orchestrator.frontier import _group
from orchestrator.gain import FloatArray, Losses, pooled_variance, seed_se, sentence_se

Key = tuple[str, str, str]


def keys(configurations: pd.DataFrame) -> list[Key]:
    """Variant, decoder and knobs of each row."""
    columns = (configurations[name].astype(str) for name in ("variant", "decoder", "knobs"))
    return list(zip(*columns, strict=True))


def trials_of_configurations(runs: pd.DataFrame) -> dict[Key, list[str]]:
    """Trial ids of the runs that each configuration's figures rest on, by variant, decoder and knobs."""
    if runs.empty:
        return {}
    finite = runs[np.isfinite(runs["nll_plus_kl"].astype("float64"))]
    groups = finite.groupby(["variant", "decoder", "knobs"])
    return {(str(v), str(d), str(k)): _group(rows).names for (v, d, k), rows in groups}


def with_iw_gain(configurations: pd.DataFrame, runs: pd.DataFrame, losses: Losses) -> pd.DataFrame:
    """The configurations with the columns ``iw_gain`` and ``iw_gain_se``.

    As ``gain`` and ``gain_se`` (see ``frontier.configurations``), of IW-NLL: NaN where a run of the
    configuration or of its baseline has not been examined.

    Args:
        losses: IW-NLL of each sentence by trial id: same sentences, same order in every run.
    """
    members = {
        key: names
        for key, names in trials_of_configurations(runs).items()
        if names and all(name in losses for name in names)
    }
    means = {key: _means(names, losses) for key, names in members.items()}
    pooled = pooled_variance(list(means.values()))
    baselines = {key[1]: key for key in keys(configurations[configurations["kind"] == "baseline"])}
    gains: list[tuple[float, float]] = []
    for key in keys(configurations):
        baseline = baselines.get(key[1])
        if key not in members or baseline not in members:
            gains.append((math.nan, math.nan))
        elif key == baseline:
            gains.append((0.0, math.nan))
        else:
            theirs, ours = means[baseline], means[key]
            seeds = math.hypot(seed_se(theirs, pooled), seed_se(ours, pooled))
            sentences = sentence_se(members[baseline], members[key], losses)
            gains.append((float(theirs.mean() - ours.mean()), math.hypot(sentences, seeds)))
    columns = pd.DataFrame(
        gains, columns=["iw_gain", "iw_gain_se"], index=configurations.index, dtype="float64"
    )
    return pd.concat([configurations, columns], axis=1)


def _means(names: list[str], losses: Losses) -> FloatArray:
    """Mean IW-NLL of each run."""
    return np.array([np.asarray(losses[name], dtype=np.float64).mean() for name in names])
