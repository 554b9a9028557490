"""What a sweep found: configurations, their gain over the collapsed baseline, and the frontier they form.

Pure functions on data frames. NLL, KL and everything derived from them are in nats per sentence; areas and
hypervolumes are in squared nats. Both objectives are minimised.
"""

from __future__ import annotations

import math

import moocore
import numpy as np
import pandas as pd

from orchestrator.analysis.comparison import OBJECTIVES, TEST, checked_runs, compared, non_dominated
from orchestrator.analysis.gain import Losses
from orchestrator.analysis.paired_test import FloatArray
from orchestrator.analysis.verdict import COLLAPSED_KL, MARGIN, Verdict, judged
from orchestrator.search.rounds import SeedRounds
from trainables.variants import BASELINE

FIGURES = (
    *OBJECTIVES, "iw_nll", "iw_nll_se", "iw_samples", "iw_sentences", "mutual_information", "active_units",
    "valid_nll_plus_kl", "still_to_gain", "seconds", "gpu_seconds", "optimizer_steps", "inner_steps",
    "tokens",
)  # fmt: skip
COLUMNS = (
    "trial_id", "variant", "kind", "decoder", "knobs", "runs", "failed", "fresh", *FIGURES,
    "nll_seed_se", "kl_seed_se", "baseline_nll", "baseline_runs", "looks", "gain", "gain_se",
    "gain_p", "gain_p_holm", "gain_low", "gain_high", "gain_verdict", "valid_gain", "collapsed",
    "unconverged", "baseline_still_to_gain", "baseline_converged", "beats_baseline",
    "on_frontier", "distance_to_floor", "seed_noise_known",
)  # fmt: skip


def configurations(
    runs: pd.DataFrame,
    losses: Losses,
    *,
    entropy_floor: float | None = None,
    rounds: SeedRounds | None = None,
) -> pd.DataFrame:
    """One row per configuration (variant, decoder, knobs) with its gain over the baseline, best first.

    Args:
        runs: one row per finished run: the columns of ``IDENTITY`` and ``FIGURES`` (figures other than NLL,
            KL and their sum may be missing).
        losses: per-sentence NLL + KL on the test set by trial id: same sentences, same order in every run.
        entropy_floor: entropy of the corpus in nats per sentence, where it is known.
        rounds: how the number of fresh seeds was decided; None where it was the same for all.

    The figures are means over the configuration's runs, or over its replicates alone where it has any: the
    search picked the best of several noisy figures, so the figure it was picked by is too good. ``fresh``
    says that no figure took part in a selection. ``trial_id`` is the configuration's first run in ``runs``.
    Runs of one kind that share a seed count once. A configuration one of whose runs failed (non-finite
    NLL + KL, for whatever reason, counted in ``failed``) has no mean; a baseline is averaged over its finite
    runs, which can only make it harder to beat.

    ``gain`` = mean NLL + KL of the baselines with the same decoder − mean NLL + KL of the configuration;
    positive means that the configuration wins. ``gain_se`` adds two sources in quadrature:

    * sentences, paired: d_i = mean loss of the baselines on sentence i − mean loss of the configuration on
      it; sd(d) / √N with ddof = 1;
    * training seeds: √(s_b² / n_b + s_c² / n_c), s² being the variance (ddof = 1) of NLL + KL over the
      side's runs. A side with a single run borrows the variance pooled over all configurations that have
      several, weighted by degrees of freedom. Where no configuration has several, this part is 0 and
      ``seed_noise_known`` is False.

    A baseline's own gain is 0, without a standard error. ``gain_p`` is that of `Difference.p`;
    ``gain_p_holm``, ``gain_low``, ``gain_high`` and ``gain_verdict`` are those of `verdict.judged`, over all
    configurations whose figures are fresh: a picked run proves nothing. ``looks`` is what `SeedRounds.factor`
    multiplies p by. The margin of a tie is ``MARGIN`` times the baseline's NLL.

    ``still_to_gain`` is that of `convergence.still_to_gain`, on validation. ``unconverged``: it exceeds both
    ``gain_se`` and the margin of a tie. ``baseline_converged``: ``baseline_still_to_gain`` does not; False
    where it is not known.

    ``collapsed``: mean KL below ``COLLAPSED_KL`` and, to the nearest whole number, no active unit.

    ``beats_baseline``: the verdict is "beats", the baseline has converged, and the latent variable has not
    collapsed. ``valid_gain`` is the gain on validation, NaN where a run lacks ``valid_nll_plus_kl``.
    """
    table = compared(checked_runs(runs, FIGURES), FIGURES, losses)
    table["distance_to_floor"] = table["nll_plus_kl"] - (math.nan if entropy_floor is None else entropy_floor)
    margins = MARGIN * table["baseline_nll"]
    table["looks"] = _looks(table, rounds)
    table = table.join(judged(table[TEST], margins, "gain", table["looks"]))
    table["collapsed"] = (table["kl"] < COLLAPSED_KL) & (table["active_units"].fillna(0.0) < 0.5)
    baselines = table[table["kind"] == "baseline"].set_index("decoder")["still_to_gain"]
    theirs = table["decoder"].map(baselines).astype("float64")
    table["baseline_still_to_gain"] = theirs
    tolerance = np.fmax(table["gain_se"], margins)
    table["unconverged"] = table["still_to_gain"] > tolerance
    table["baseline_converged"] = theirs <= tolerance
    beats = table["gain_verdict"] == Verdict.BEATS
    table["beats_baseline"] = beats & table["baseline_converged"] & ~table["collapsed"]
    return table[list(COLUMNS)]


def best_of_each_variant(configurations: pd.DataFrame) -> pd.DataFrame:
    """The configuration that speaks for each variant: the highest gain among its fresh ones, if it has any.

    Fresh figures go first, even where a run failed: a lucky single run would otherwise hide the replicated
    winner. The gain decides, and NLL + KL only where there is no baseline: a configuration with a stronger
    decoder has a lower NLL + KL whatever its latent variable does. Among picked runs both are those on
    validation where they are known, so that the figures on test take no part in the selection.
    """
    order = configurations[configurations["variant"] != BASELINE]
    gain = order["gain"].where(order["fresh"], order["valid_gain"].fillna(order["gain"]))
    total = order["valid_nll_plus_kl"].fillna(order["nll_plus_kl"])
    order = order.assign(
        stale=~order["fresh"],
        unknown=~np.isfinite(order["nll_plus_kl"]),
        worse=-gain,
        total=order["nll_plus_kl"].where(order["fresh"], total),
    )
    order = order.sort_values(["stale", "unknown", "worse", "total"], kind="stable")
    chosen = order.drop_duplicates("variant").index
    return configurations.loc[configurations.index.isin(chosen)]


def best_by_gain(configurations: pd.DataFrame) -> pd.DataFrame:
    """`best_of_each_variant`, the largest gain first."""
    return best_of_each_variant(configurations).sort_values("gain", ascending=False, kind="stable")


def default_reference(frame: pd.DataFrame) -> tuple[float, float]:
    """Reference point (KL, NLL) = (B, B), B being the highest baseline NLL in nats per sentence.

    A point beyond it in either objective cannot beat any baseline, and it depends on no trial, so that sweeps
    over one corpus can be compared. Without a baseline: the largest KL and NLL on the frontier plus a tenth;
    without any point, (0, 0).
    """
    baselines = frame["baseline_nll"][np.isfinite(frame["baseline_nll"])]
    if len(baselines):
        return float(baselines.max()), float(baselines.max())
    points = _points(frame)
    if not len(points):
        return 0.0, 0.0
    points = points[non_dominated(points[:, 0], points[:, 1])]
    return float(1.1 * points[:, 0].max()), float(1.1 * points[:, 1].max())


def hypervolume(frame: pd.DataFrame, reference: tuple[float, float]) -> float:
    """Area in squared nats that the rows' points dominate within ``reference`` = (KL, NLL)."""
    points = _points(frame)
    points = points[(points < reference).all(axis=1)]
    return float(moocore.hypervolume(points, ref=np.asarray(reference))) if len(points) else 0.0


def area_gained(frame: pd.DataFrame, baseline_nll: float | None = None) -> float:
    """Area in squared nats between the frontier and the collapsed line NLL + KL = B: what was won from it.

    It is the part of the plane under the line that some row dominates. A row whose NLL + KL is g below the
    line dominates a right triangle with legs g; neighbours on the frontier overlap in another such triangle
    with its corner at (larger KL, larger NLL). Hence Σ g²/2 over the frontier − Σ g²/2 over the overlaps.
    B is the lowest baseline in ``frame`` unless given; NaN where there is none.
    """
    line = float(frame["baseline_nll"].min()) if baseline_nll is None else baseline_nll
    if not math.isfinite(line):
        return math.nan
    points = _points(frame)
    points = np.unique(points[non_dominated(points[:, 0], points[:, 1])], axis=0)
    own = np.maximum(line - points[:, 0] - points[:, 1], 0.0)
    shared = np.maximum(line - points[1:, 0] - points[:-1, 1], 0.0)
    return float(np.sum(own**2) / 2 - np.sum(shared**2) / 2)


def _points(frame: pd.DataFrame) -> FloatArray:
    points: FloatArray = frame[["kl", "nll"]].to_numpy(dtype=np.float64)
    return np.asarray(points[np.isfinite(points).all(axis=1)])


def _looks(table: pd.DataFrame, rounds: SeedRounds | None) -> pd.Series:
    """`SeedRounds.factor` of each replicated row, 1 of the others."""
    if rounds is None:
        return pd.Series(1.0, table.index)
    factors = [rounds.factor(runs) for runs in table["runs"]]
    return pd.Series(factors, table.index, dtype="float64").where(table["kind"] == "replicate", 1.0)
