"""Runs, grouped into configurations and compared with the baseline that has the same decoder.

Pure functions on data frames; all figures are in nats per sentence. What the figures are, on test or on
validation, at the end or at a budget, is for the caller to know.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import moocore
import numpy as np
import numpy.typing as npt
import pandas as pd

from orchestrator.analysis.gain import Losses, mean, pooled_variance, seed_noise, sentence_noise
from orchestrator.analysis.paired_test import FEWEST_SEEDS, Difference, FloatArray, Noise, variance
from trainables.variants import BASELINE

IDENTITY = ("trial_id", "variant", "kind", "decoder", "seed", "knobs")
OBJECTIVES = ("nll", "kl", "nll_plus_kl")
FAILED = "failed"
TEST = "test"
_ERRORS = ("nll_seed_se", "kl_seed_se", "baseline_nll", "gain", "gain_se", "valid_gain")
_BASELINE_RUNS = "baseline_runs"
_CONFIGURATION = ("trial_id", "variant", "kind", "decoder", "knobs")


@dataclass(frozen=True)
class Configuration:
    """A variant with a decoder and with knobs: the runs that speak for it.

    Attributes:
        trial_id: of its first run.
        eligible: its replicates, or all of its runs where it has none; one run a seed.
    """

    trial_id: str
    eligible: pd.DataFrame

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The runs that its figures are averaged over: of a baseline the finite ones, where it has any."""
        finite = np.isfinite(self.eligible["nll_plus_kl"])
        fewer = (self.eligible["kind"] == "baseline").all() and finite.any()
        return self.eligible.loc[finite] if fewer else self.eligible

    @property
    def key(self) -> tuple[str, str, str]:
        """Variant, decoder, knobs."""
        first = self.eligible.iloc[0]
        return str(first["variant"]), str(first["decoder"]), str(first["knobs"])

    @property
    def names(self) -> list[str]:
        """Trial ids of `runs`."""
        return [str(name) for name in self.runs["trial_id"]]

    def values(self, figure: str) -> FloatArray:
        """The figure of each of `runs`."""
        return self.runs[figure].to_numpy(dtype=np.float64)


def grouped(runs: pd.DataFrame) -> list[Configuration]:
    """The configurations of the runs, from a table that `checked_runs` has passed. What the search for a
    baseline tried and did not take is none."""
    runs = runs[(runs["variant"] != BASELINE) | (runs["kind"] == "baseline")]
    return [_configuration(rows) for _, rows in runs.groupby(["variant", "decoder", "knobs"], sort=True)]


def compared(
    runs: pd.DataFrame, figures: Sequence[str], losses: Losses | None, *, counts: Sequence[str] = (FAILED,)
) -> pd.DataFrame:
    """One row for each configuration, best NLL + KL first: mean figures, gain over the baseline, frontier.

    Args:
        runs: from `checked_runs`, with the figures, and for each of `counts` whether it is true of the run.
        figures: columns to average, those of ``OBJECTIVES`` and ``valid_nll_plus_kl`` among them.
        losses: per-sentence NLL + KL by trial id, for the sentences' part of the error; None where nobody
            knows them: the error is then that of the training seeds alone.
        counts: columns of flags, counted over the configuration's runs.

    `frontier.configurations` says what the columns mean; ``test`` holds the `Difference` of a configuration
    whose figures no selection has touched, from several runs a side, and None for all others.
    """
    groups = grouped(runs)
    baselines = {
        str(decoder): _configuration(rows)
        for decoder, rows in runs[runs["kind"] == "baseline"].groupby("decoder")
    }
    pooled = pooled_variance([group.values("nll_plus_kl") for group in groups])
    table = pd.DataFrame(
        [
            _about(group)
            | {name: int(group.eligible[name].sum()) for name in counts}
            | _mean_figures(group, figures)
            | _gain(group, baselines.get(group.key[1]), losses, pooled)
            for group in groups
        ],
        columns=[*_CONFIGURATION, "runs", *counts, "fresh", *figures, *_ERRORS, _BASELINE_RUNS, TEST],
    )
    kinds = {**dict.fromkeys(["runs", _BASELINE_RUNS, *counts], "int64"), "fresh": "bool"}
    table = table.astype(kinds | dict.fromkeys([*figures, *_ERRORS], "float64"))
    table[TEST] = table[TEST].astype(object).where(table["fresh"], None)
    table["on_frontier"] = non_dominated(table["kl"], table["nll"])
    table["seed_noise_known"] = math.isfinite(pooled.variance)
    return table.sort_values("nll_plus_kl", kind="stable", ignore_index=True)


def checked_runs(runs: pd.DataFrame, figures: Sequence[str]) -> pd.DataFrame:
    """The table of runs with exactly the columns of ``IDENTITY``, the figures as floats, and ``FAILED``.

    An empty table may lack columns; another may lack figures other than NLL, KL and their sum.
    """
    required = [*IDENTITY, *OBJECTIVES]
    if not runs.empty and not set(required) <= set(runs.columns):
        raise ValueError(f"runs must have the columns {required}, got {list(runs.columns)}")
    runs = runs.reindex(columns=[*IDENTITY, *figures]).astype(dict.fromkeys(figures, "float64"))
    runs[["decoder", "knobs"]] = runs[["decoder", "knobs"]].fillna("")
    return runs.assign(**{FAILED: ~np.isfinite(runs["nll_plus_kl"])})


def non_dominated(kl: npt.ArrayLike, nll: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Mask of the points (KL, NLL) that no other point beats in one objective without losing in the other.

    Both are minimised, so the collapsed baseline with the lowest NLL always belongs: no KL is below 0. Being
    on the frontier is therefore no proof of being better than the baseline; ``beats_baseline`` is. Equal
    points all stay. Points that are not finite never belong.
    """
    points = np.column_stack([np.asarray(kl, dtype=np.float64), np.asarray(nll, dtype=np.float64)])
    mask: npt.NDArray[np.bool_] = np.asarray(np.isfinite(points).all(axis=1))
    if mask.any():
        mask[mask] = moocore.is_nondominated(points[mask], keep_weakly=True)
    return mask


def _configuration(rows: pd.DataFrame) -> Configuration:
    replicates = rows[rows["kind"] == "replicate"]
    # A search can propose one configuration twice; with one seed that is no second opinion.
    eligible = (replicates if len(replicates) else rows).drop_duplicates("seed")
    return Configuration(str(rows["trial_id"].iloc[0]), eligible)


def _about(group: Configuration) -> dict[str, object]:
    first = group.runs.iloc[0]
    row: dict[str, object] = {name: first[name] for name in _CONFIGURATION}
    fresh = first["kind"] in ("replicate", "baseline") or first["knobs"] == ""
    return row | {"trial_id": group.trial_id, "runs": len(group.runs), "fresh": fresh}


def _mean_figures(group: Configuration, figures: Sequence[str]) -> dict[str, float]:
    row = {name: mean(group.values(name)) for name in figures}
    for name in ("nll", "kl"):
        row[f"{name}_seed_se"] = math.sqrt(variance(group.values(name)) / len(group.runs))
    return row


def _gain(
    group: Configuration, baseline: Configuration | None, losses: Losses | None, pooled: Noise
) -> dict[str, object]:
    if baseline is None:
        return dict.fromkeys(_ERRORS[2:], math.nan) | {_BASELINE_RUNS: 0, TEST: None}
    theirs, ours = baseline.values("nll_plus_kl"), group.values("nll_plus_kl")
    row: dict[str, object] = {"baseline_nll": mean(theirs), _BASELINE_RUNS: len(theirs)}
    if group.runs["kind"].iloc[0] == "baseline":
        return row | {"gain": 0.0, "gain_se": math.nan, "valid_gain": 0.0, TEST: None}
    seeds = [seed_noise(side, pooled) for side in (theirs, ours)]
    sentences = [] if losses is None else [sentence_noise(baseline.names, group.names, losses)]
    difference = Difference(mean(theirs) - mean(ours), [*sentences, *seeds])
    return row | {
        "gain": difference.value,
        "gain_se": difference.se,
        "valid_gain": mean(baseline.values("valid_nll_plus_kl")) - mean(group.values("valid_nll_plus_kl")),
        TEST: difference if min(len(theirs), len(ours)) >= FEWEST_SEEDS else None,
    }
