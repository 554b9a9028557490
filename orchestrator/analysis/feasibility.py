"""Which trials a search could use: those that keep its constraints, by the figures that it was told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from orchestrator.analysis.results import TrialResult
from orchestrator.common.wording import number, plural
from orchestrator.search.objectives import Frontier, Objective, Point, violation
from orchestrator.search.rungs import NOT_PROMOTED
from trainables.training.collapse import COLLAPSED
from trainables.variants import BASELINE

_WHY = {COLLAPSED: "as collapsed", NOT_PROMOTED: "at a rung"}


def feasible(results: Sequence[TrialResult], objective: Objective | None) -> dict[str, bool]:
    """Of each finished trial, by its id, whether it keeps the constraints. Baselines have none; of a trial
    whose decoder has no baseline nobody can say."""
    if objective is None:
        return {}
    baselines = baseline_losses(results)
    found = {}
    for result in results:
        own = baselines.get(result.plan.build().decoder_label)
        if result.plan.variant == BASELINE or own is None or "best/kl" not in result.final:
            continue
        point = Point(result.final["best/nll"] - own, result.final["best/kl"])
        found[result.trial_id] = violation(objective, point) == 0
    return found


def baseline_losses(results: Iterable[TrialResult]) -> dict[str, float]:
    """The mean NLL + KL on validation of each decoder's language models."""
    losses: dict[str, list[float]] = {}
    for result in results:
        if result.plan.kind == "baseline" and "best/nll_plus_kl" in result.final:
            decoder = result.plan.build().decoder_label
            losses.setdefault(decoder, []).append(result.final["best/nll_plus_kl"])
    return {decoder: fmean(found) for decoder, found in losses.items()}


def stopped(results: Sequence[TrialResult]) -> list[str]:
    """A sentence on each variant of whose searched trials some were stopped early, and why."""
    trials = [result for result in results if not result.plan.fresh]
    ended = Counter((result.plan.variant, result.failure) for result in trials)
    tried = Counter(result.plan.variant for result in trials)
    return [
        f"{variant}: {count} of {plural(tried[variant], 'trial')} stopped early, {_WHY[failure]}"
        for (variant, failure), count in ended.items()
        if failure in _WHY
    ]


def without_any(
    results: Sequence[TrialResult], found: Mapping[str, bool], objective: Objective | None
) -> list[str]:
    """A sentence on each variant that was searched and has no feasible trial."""
    if not isinstance(objective, Frontier):
        return []
    searched: dict[str, list[bool]] = {}
    for result in results:
        dead = result.failure == COLLAPSED
        if (result.trial_id in found or dead) and not result.plan.fresh:
            searched.setdefault(result.plan.variant, []).append(found.get(result.trial_id, False))
    rule = f"KL ≥ {number(objective.kl_floor)} and a gain ≥ {number(-objective.margin)}"
    return [
        f"{variant}: no feasible trial among {len(kept)}: none has {rule}, on validation"
        for variant, kept in searched.items()
        if not any(kept)
    ]
