"""What both frontier figures show and how: axis limits, and the runs that lie outside them.

Two panels share the KL axis. The upper one is the plane itself, NLL over KL. There an iso-ELBO line is a
diagonal and a gain of a tenth of a nat cannot be seen, so the lower one shows NLL + KL less the baseline's,
where each baseline is the line at 0. All values are in nats per sentence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from orchestrator.analysis.comparison import checked_runs
from orchestrator.analysis.frontier import FIGURES, best_of_each_variant
from orchestrator.analysis.paired_test import FloatArray
from orchestrator.common.wording import difference, plural
from trainables.variants import BASELINE

UPPER_TITLE = "reconstruction NLL (nats per sentence)"
LOWER_TITLE = "NLL + KL, less the baseline's"
KL_TITLE = "KL (nats per sentence)"
VARIANTS_TITLE = "best, less the baseline"
LINES_TITLE = "NLL + KL ="

BARS = 3.0
"""Bars are so many standard errors to each side; the tests decide, not whether bars overlap."""
_OFF_SCALE = 1e6
"""No picture holds more nats per sentence: matplotlib's and the browser's arithmetic would give way."""
_MARGIN = 0.06
"""Around all that is shown, as a share of it."""


@dataclass(frozen=True)
class View:
    """One frontier figure, ready to draw: tables of finite points and the limits of the axes."""

    dots: pd.DataFrame
    """Every run other than a baseline, unless millions of nats away: variant, knobs, trial_id, seed, kl, nll,
    nll_plus_kl, delta."""
    marks: pd.DataFrame
    """Configurations on the frontier, replicated, or best of their variant; delta = NLL + KL − baseline."""
    frontier: pd.DataFrame
    """Configurations on the frontier by rising KL."""
    baselines: dict[str, float]
    """NLL by decoder."""
    labels: dict[str, str]
    """Legend entry by variant, best first: its name and its best configuration's delta ± standard error."""
    entropy_floor: float | None
    kl_limits: tuple[float, float]
    nll_limits: tuple[float, float]
    delta_limits: tuple[float, float]
    outside: int
    """Runs beyond the axes."""
    without_figures: int
    """Runs whose NLL or KL is not finite."""

    @property
    def notes(self) -> list[str]:
        """The runs that the reader does not see, in words; empty where there is none."""
        parts = [(self.outside, "outside the axes"), (self.without_figures, "without finite figures")]
        return [f"{plural(count, 'run')} {what}" for count, what in parts if count]

    @property
    def floor_band(self) -> tuple[float, float] | None:
        """The entropy floor in the lower panel: it spans as much as the baselines of the decoders differ."""
        if self.entropy_floor is None or not self.baselines:
            return None
        levels = self.baselines.values()
        return self.entropy_floor - max(levels), self.entropy_floor - min(levels)


def view(configurations: pd.DataFrame, runs: pd.DataFrame, *, entropy_floor: float | None) -> View:
    """Choose points and limits. A diverged run does not squash the picture: it is counted instead of shown.

    With c = the baseline or the median run, whichever has the higher NLL + KL, the limits hold every run up
    to c + 2 (c − best), and at least up to 1.05 c. A median beyond 3 · best, where most runs diverged, counts
    as 3 · best.
    """
    baselines = _baselines(configurations)
    trials = checked_runs(runs, FIGURES)
    trials = trials[trials["kind"] != "baseline"]
    dots = _drawable(trials)
    dots["delta"] = dots["nll_plus_kl"] - dots["decoder"].map(baselines).astype("float64")
    best = best_of_each_variant(configurations)
    shown = configurations["on_frontier"] | (configurations["kind"] == "replicate")
    marks = _drawable(configurations[shown | configurations.index.isin(best.index)])
    marks = marks[marks["variant"] != BASELINE].assign(delta=-marks["gain"])
    figures = marks[["delta", "gain_se"]]
    marks[["delta", "gain_se"]] = figures.where(figures.abs() < _OFF_SCALE)
    levels = np.array(list(baselines.values()))
    limit = highest_shown(dots["nll_plus_kl"].to_numpy(), levels)
    near, bars = dots[dots["nll_plus_kl"] <= limit], marks[marks["nll_plus_kl"] <= limit]
    reach = BARS * bars["gain_se"].where(bars["runs"] > 1).fillna(0.0).clip(upper=limit)
    floors = levels[:0] if entropy_floor is None else entropy_floor - levels
    left, right = _padded([near["kl"], [0.0]])
    kl_limits = max(left, -_MARGIN * right), right  # where all has collapsed no wider: there is no KL below 0
    nll_limits = _padded([near["nll"], levels])
    delta_limits = _padded([near["delta"], bars["delta"] - reach, bars["delta"] + reach, floors, [0.0]])
    visible = dots["kl"].between(*kl_limits) & dots["nll"].between(*nll_limits)
    visible &= dots["delta"].between(*delta_limits) | dots["delta"].isna()
    finite = int(np.isfinite(trials[["nll", "kl"]].to_numpy()).all(axis=1).sum())
    return View(
        dots=dots,
        marks=marks,
        frontier=_drawable(configurations[configurations["on_frontier"]]).sort_values("kl", kind="stable"),
        baselines=baselines,
        labels={
            str(row["variant"]): _label(str(row["variant"]), -row["gain"], row["gain_se"])
            for _, row in best.sort_values("gain", ascending=False, kind="stable").iterrows()
        },
        entropy_floor=entropy_floor,
        kl_limits=kl_limits,
        nll_limits=nll_limits,
        delta_limits=delta_limits,
        outside=finite - int(visible.sum()),
        without_figures=len(trials) - finite,
    )


def _baselines(configurations: pd.DataFrame) -> dict[str, float]:
    rows = configurations[configurations["kind"] == "baseline"].sort_values("decoder")
    pairs = zip(rows["decoder"], rows["baseline_nll"], strict=True)
    return {str(decoder): float(nll) for decoder, nll in pairs if abs(nll) < _OFF_SCALE}


def _drawable(frame: pd.DataFrame) -> pd.DataFrame:
    mask = (np.abs(frame[["nll", "kl"]].to_numpy(dtype=np.float64)) < _OFF_SCALE).all(axis=1)
    kept: pd.DataFrame = frame.loc[mask].copy()
    return kept


def highest_shown(totals: FloatArray, levels: FloatArray) -> float:
    """Highest NLL + KL that the limits make room for."""
    if not len(totals) + len(levels):
        return math.inf
    best = float(min([*totals, *levels]))
    centre = max([*levels, *([min(float(np.median(totals)), 3 * best)] if len(totals) else [])])
    return float(max(centre + 2 * (centre - best), 1.05 * centre))


def _padded(parts: Sequence[npt.ArrayLike]) -> tuple[float, float]:
    """Limits around all finite values, with a margin; at least half a nat apart."""
    values = np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    margin = max(_MARGIN * (high - low), 0.25 - (high - low) / 2, 0.02)
    return low - margin, high + margin


def _label(variant: str, delta: float, error: float) -> str:
    return f"{variant} {difference(delta, error)}" if math.isfinite(delta) else variant
