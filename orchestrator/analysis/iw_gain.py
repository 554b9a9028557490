"""The gain over the baseline once more, by the importance-weighted NLL: a tighter bound than NLL + KL.

On the test sentences that every examined run has values for, in nats per sentence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from orchestrator.analysis.comparison import grouped
from orchestrator.analysis.gain import Losses, pooled_variance, seed_noise, sentence_noise
from orchestrator.analysis.paired_test import FEWEST_SEEDS, Difference, FloatArray, Noise
from orchestrator.analysis.verdict import ALPHA, MARGIN, Verdict, judged

Key = tuple[str, str, str]
IW_GAIN = "iw_gain"
SHORT = "iw_short_of_sentences"


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
    """The configurations with the columns ``iw_gain``, ``iw_gain_se``, those of `verdict.judged`, and
    ``iw_short_of_sentences``.

    As ``gain`` and the others (see ``frontier.configurations``), of IW-NLL: NaN where these are, and where a
    run of the configuration or of its baseline has not been examined. ``iw_short_of_sentences``: not decided,
    and it would be if the sentences added no noise.

    Args:
        losses: IW-NLL of each sentence by trial id: same sentences, same order in every run; NaN of those
            that were not looked at. A difference is on the sentences that all runs of both sides have.
    """
    members = {
        key: names
        for key, names in trials_of_configurations(runs).items()
        if all(name in losses for name in names)
    }
    pooled = pooled_variance([_means(_common(names, losses)) for names in members.values()])
    is_baseline = configurations["kind"] == "baseline"
    baselines = {key[1]: members.get(key) for key in keys(configurations[is_baseline])}
    found = pd.Series(
        [_gain(baselines.get(key[1]), members.get(key), losses, pooled) for key in keys(configurations)],
        index=configurations.index, dtype="object",
    ).where(configurations["gain"].notna(), None)  # fmt: skip
    several = configurations["fresh"] & (configurations["runs"] >= FEWEST_SEEDS) & ~is_baseline
    several &= configurations["baseline_runs"] >= FEWEST_SEEDS
    columns = judged(
        found.where(several, None), MARGIN * configurations["baseline_nll"], IW_GAIN, configurations["looks"]
    )
    columns.insert(0, IW_GAIN, [math.nan if each is None else each.value for each in found])
    columns.insert(1, f"{IW_GAIN}_se", [math.nan if each is None else each.se for each in found])
    undecided = columns[f"{IW_GAIN}_verdict"] == Verdict.UNDECIDED
    level = ALPHA / max(1, int(columns[f"{IW_GAIN}_p"].notna().sum())) / configurations["looks"]
    columns[SHORT] = undecided & (found.map(_p_of_seeds).astype("float64") <= level)
    return pd.concat([configurations, columns], axis=1)


def short_of_sentences(configurations: pd.DataFrame, runs: pd.DataFrame) -> set[str]:
    """The trial ids of the runs, and of their baselines' runs, that would have to be examined on more
    sentences to decide what is not decided.

    Args:
        configurations: with the columns of `with_iw_gain`.
    """
    members = trials_of_configurations(runs)
    short = configurations[configurations[SHORT]]
    theirs = configurations[(configurations["kind"] == "baseline")]
    theirs = theirs[theirs["decoder"].isin(short["decoder"])]
    return {name for key in keys(pd.concat([short, theirs])) for name in members.get(key, ())}


def _gain(
    baseline: list[str] | None, ours: list[str] | None, losses: Losses, pooled: Noise
) -> Difference | None:
    if baseline is None or ours is None:
        return None
    if ours == baseline:
        return Difference(0.0, [Noise(math.nan)])
    common = _common([*baseline, *ours], losses)
    base_means, own_means = (_means({name: common[name] for name in side}) for side in (baseline, ours))
    noise = [seed_noise(base_means, pooled), seed_noise(own_means, pooled)]
    difference = float(base_means.mean() - own_means.mean())
    return Difference(difference, [sentence_noise(baseline, ours, common), *noise])


def _common(names: Sequence[str], losses: Losses) -> dict[str, FloatArray]:
    """The losses of these runs on the sentences that all of them have."""
    found = {name: np.asarray(losses[name], dtype=np.float64) for name in names}
    known_N = np.logical_and.reduce([~np.isnan(losses_N) for losses_N in found.values()])
    return {name: losses_N[known_N] for name, losses_N in found.items()}


def _means(losses: Mapping[str, FloatArray]) -> FloatArray:
    """Mean IW-NLL of each run."""
    return np.array([losses_N.mean() for losses_N in losses.values()])


def _p_of_seeds(difference: Difference | None) -> float:
    """p if there were no end of sentences; NaN where there is no difference."""
    return math.nan if difference is None else Difference(difference.value, difference.noise[1:]).p
