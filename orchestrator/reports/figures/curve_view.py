"""What the figures over training show: each variant's best configuration, epoch by epoch, on validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from orchestrator.analysis.comparison import checked_runs, grouped
from orchestrator.analysis.equal_compute import TOKENS
from orchestrator.analysis.frontier import FIGURES, best_by_gain
from orchestrator.common.colours import baseline_colour, style
from orchestrator.common.wording import number, thousands
from orchestrator.reports.figures.frontier_view import highest_shown
from orchestrator.reports.tables.equal_compute import against_baseline
from trainables.variants import BASELINE

PANELS = {
    "kl": "KL (nats per sentence)",
    "mutual_information": "mutual information (nats)",
    "active_units": "active units",
    "kl_weight": "KL weight",
}
"""Metrics by epoch, with their axes' titles."""

SO_FAR = "so_far"
CURVES_TITLE = "best configuration"
AT_BUDGET_TITLE = "at the budget, less the baseline"
SO_FAR_TITLE = "lowest NLL + KL so far, on validation (nats per sentence)"
COST_TITLE = "tokens trained on, those of inner steps included"
RANGES_DIFFER = 3.0


@dataclass(frozen=True)
class Curve:
    """The training of one configuration.

    Attributes:
        seeds: each run's epochs: ``epoch``, validation metrics, costs so far, and ``SO_FAR``, the lowest
            NLL + KL up to there.
        mean: their means by epoch, as far as all runs go.
        error: the standard errors of these over the runs; NaN for a single run.
    """

    variant: str
    decoder: str
    knobs: str
    seeds: Sequence[pd.DataFrame]
    mean: pd.DataFrame
    error: pd.DataFrame

    @property
    def baseline(self) -> bool:
        return self.variant == BASELINE

    @property
    def name(self) -> str:
        """For a legend."""
        return f"baseline, {self.decoder}" if self.baseline else self.variant

    def colour(self, index: int) -> str:
        """The variant's, or the baselines' grey number `index`."""
        return baseline_colour(index) if self.baseline else style(self.variant).colour


@dataclass(frozen=True)
class CostView:
    """The lowest NLL + KL so far over the tokens that it took, ready to draw."""

    curves: Sequence[Curve]
    labels: Sequence[str]
    """Legend entry of each curve: its name, and how it stands against the baseline at the budget."""
    budget: float | None
    """In tokens; None where nobody knows it."""
    logarithmic: bool
    limits: tuple[float, float]
    """Of NLL + KL."""

    @property
    def budget_label(self) -> str:
        """For a legend."""
        return f"budget: {thousands(self.budget or 0)} tokens"


def training_curves(
    configurations: pd.DataFrame, runs: pd.DataFrame, histories: Mapping[str, pd.DataFrame]
) -> list[Curve]:
    """The baselines, then each variant's best configuration, the largest gain first; where epochs are known.

    Args:
        configurations: from ``frontier.configurations``.
        runs: the table that they were made from.
        histories: each run's epochs by trial id.
    """
    if runs.empty:
        return []
    groups = {group.key: group for group in grouped(checked_runs(runs, FIGURES))}
    best = best_by_gain(configurations)
    baselines = configurations[configurations["variant"] == BASELINE].sort_values("decoder")
    chosen = pd.concat([baselines, best])[["variant", "decoder", "knobs"]]
    named = {key: groups[key].names for key in chosen.itertuples(index=False, name=None)}
    return [
        _curve(key, [histories[name] for name in names if name in histories], len(names))
        for key, names in named.items()
        if any(name in histories for name in names)
    ]


def cost_view(curves: Sequence[Curve], at_budget: pd.DataFrame) -> CostView:
    """The curves with labels and limits.

    Args:
        curves: from ``training_curves``.
        at_budget: from ``equal_compute.equal_compute``, with a budget in tokens.
    """
    lasts = [curve.mean[[SO_FAR, TOKENS]].iloc[-1] for curve in in_sight(curves)]
    ends = [float(last[TOKENS]) for last in lasts]
    found = {_key(row): _label(row) for _, row in at_budget.iterrows()}
    return CostView(
        curves=curves,
        labels=[found.get((curve.variant, curve.decoder, curve.knobs), curve.name) for curve in curves],
        budget=float(at_budget["budget"].iloc[0]) if len(at_budget) else None,
        logarithmic=bool(ends) and max(ends) > RANGES_DIFFER * min(ends),
        limits=_cost_limits([float(last[SO_FAR]) for last in lasts]),
    )


def in_sight(curves: Sequence[Curve]) -> list[Curve]:
    """Those that limits make room for: a training that ends far above the others does not squash a picture.

    By the rule of `frontier_view.view`, on the lowest NLL + KL on validation.
    """
    lasts = [(curve, float(curve.mean[SO_FAR].iloc[-1])) for curve in curves if len(curve.mean)]
    levels, totals = (
        np.array([last for curve, last in lasts if curve.baseline == wanted], dtype=np.float64)
        for wanted in (True, False)
    )
    limit = highest_shown(totals, levels)
    return [curve for curve, last in lasts if curve.baseline or last <= limit]


def panel_limits(curves: Sequence[Curve], metric: str) -> tuple[float, float]:
    """Limits of a metric by epoch: what goes beyond three times all later values leaves the panel.

    While the KL weight is near 0 the KL can be many times what is left of it.
    """
    values = [curve.mean[metric].to_numpy(dtype=np.float64) for curve in in_sight(curves)]
    late = max((float(part[len(part) // 2 :].max()) for part in values), default=0.0)
    high = max([1.0, *(min(float(part.max()), 3.0 * late) for part in values)])
    return -0.04 * high, 1.06 * high


def _cost_limits(lasts: Sequence[float]) -> tuple[float, float]:
    """Around what all trainings end with, and so much above it that the end of the descent is seen."""
    low, high = min(lasts, default=0.0), max(lasts, default=1.0)
    return low - 0.1 * (high - low) - 0.005 * high, high + max(0.5 * (high - low), 0.03 * high)


def _key(row: pd.Series) -> tuple[str, str, str]:
    return row["variant"], row["decoder"], row["knobs"]


def _label(row: pd.Series) -> str:
    """The baseline with its own figure, another with how it stands against that."""
    if row["kind"] == "baseline":
        return f"{number(row['nll_plus_kl'])} baseline, {row['decoder']}"
    return f"{row['variant']} {against_baseline(row)}"


def _curve(key: tuple[str, str, str], histories: Sequence[pd.DataFrame], runs: int) -> Curve:
    seeds = [history.assign(**{SO_FAR: history["nll_plus_kl"].cummin()}) for history in histories]
    by_epoch = pd.concat(seeds).groupby("epoch")
    everywhere = by_epoch.size() == runs
    mean, error = by_epoch.mean()[everywhere], by_epoch.sem()[everywhere]
    return Curve(*key, seeds, mean.reset_index(), error.reset_index())
