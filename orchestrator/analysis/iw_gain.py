"""The gain over the baseline once more, by the importance-weighted NLL: a tighter bound than NLL + KL.

On the test sentences that every examined run has values for, in nats per sentence.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from orchestrator.analysis.comparison import grouped
from orchestrator.analysis.gain import FloatArray, Losses, pooled_variance, seed_se, sentence_se

Key = tuple[str, str, str]


def keys(configurations: pd.DataFrame) -> list[Key]:
    """Variant, decoder and knobs of each row."""
    columns = (configurations[name].astype(str) for name in ("variant", "decoder", "knobs"))
    return list(zip(*columns, strict=True))


def trials_of_configurations(runs: pd.DataFrame) -> dict[Key, list[str]]:
    """Trial ids of the runs that each configuration's figures rest on, by variant, decoder and knobs; failed
    runs are left out."""
    if runs.empty:
        return {}
    found: dict[Key, list[str]] = {}
    for group in grouped(runs):
        finished = group.eligible[np.isfinite(group.eligible["nll_plus_kl"])]
        if len(finished):
            found[group.key] = [str(name) for name in finished["trial_id"]]
    return found


def with_iw_gain(configurations: pd.DataFrame, runs: pd.DataFrame, losses: Losses) -> pd.DataFrame:
    """The configurations with the columns ``iw_gain`` and ``iw_gain_se``.

    As ``gain`` and ``gain_se`` (see ``frontier.configurations``), of IW-NLL: NaN where these are, and where a
    run of the configuration or of its baseline has not been examined.

    Args:
        losses: IW-NLL of each sentence by trial id: same sentences, same order in every run.
    """
    members = {
        key: names
        for key, names in trials_of_configurations(runs).items()
        if all(name in losses for name in names)
    }
    pooled = pooled_variance([_means(names, losses) for names in members.values()])
    is_baseline = configurations["kind"] == "baseline"
    baselines = {key[1]: members.get(key) for key in keys(configurations[is_baseline])}
    gains = [_gain(baselines.get(key[1]), members.get(key), losses, pooled) for key in keys(configurations)]
    columns = pd.DataFrame(
        gains, columns=["iw_gain", "iw_gain_se"], index=configurations.index, dtype="float64"
    )
    return pd.concat([configurations, columns[configurations["gain"].notna()]], axis=1)


def _gain(
    baseline: list[str] | None, ours: list[str] | None, losses: Losses, pooled: float
) -> tuple[float, float]:
    if baseline is None or ours is None:
        return math.nan, math.nan
    if ours == baseline:
        return 0.0, math.nan
    base_means, own_means = _means(baseline, losses), _means(ours, losses)
    seeds = math.hypot(seed_se(base_means, pooled), seed_se(own_means, pooled))
    sentences = sentence_se(baseline, ours, losses)
    return float(base_means.mean() - own_means.mean()), math.hypot(sentences, seeds)


def _means(names: list[str], losses: Losses) -> FloatArray:
    """Mean IW-NLL of each run."""
    return np.array([np.asarray(losses[name], dtype=np.float64).mean() for name in names])
