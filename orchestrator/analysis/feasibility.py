"""Which trials a search could use: those that keep its constraints, by the figures that it was told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean

from orchestrator.analysis.results import TrialResult
from orchestrator.common.wording import number, plural
from orchestrator.search.objectives import Frontier, Objective, Point, rank, violation
from orchestrator.search.prospects import DOMINATED
from orchestrator.search.rungs import NOT_PROMOTED
from trainables.training.collapse import COLLAPSED
from trainables.variants import BASELINE

_WHY = {COLLAPSED: "as collapsed", DOMINATED: "as dominated", NOT_PROMOTED: "at a rung"}


def feasible(results: Sequence[TrialResult], objective: Objective | None) -> dict[str, bool]:
    """Of each finished trial, by its id, whether it keeps the constraints. Baselines have none; of a trial
    whose decoder has no baseline nobody can say."""
    if objective is None:
        return {}
    points = _points(results)
    return {trial_id: violation(objective, point) == 0 for trial_id, point in points.items()}


def _points(results: Sequence[TrialResult]) -> dict[str, Point]:
    """What the search was told of each trial of a variant that has ended and has a baseline, by its id."""
    baselines, found = baseline_losses(results), {}
    for result in results:
        own = baselines.get(result.plan.build().decoder_label)
        if result.plan.variant != BASELINE and own is not None and "best/kl" in result.final:
            found[result.trial_id] = Point(result.final["best/nll"] - own, result.final["best/kl"])
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


def without_any(results: Sequence[TrialResult], objective: Objective | None) -> list[str]:
    """A sentence on each variant that was searched and has no feasible trial; it says so where the best has
    nothing to confirm either, and was not run again."""
    if not isinstance(objective, Frontier):
        return []
    searched = [result for result in results if not result.plan.fresh and result.plan.variant != BASELINE]
    points = _points(results)
    repeated = {result.plan.variant for result in results if result.plan.kind == "replicate"}
    rule = f"KL ≥ {number(objective.kl_floor)} and a gain ≥ {number(-objective.margin)}"
    found = []
    for variant in dict.fromkeys(result.plan.variant for result in searched):
        own = [result for result in searched if result.plan.variant == variant]
        known = [points[result.trial_id] for result in own if result.trial_id in points]
        tried = len(known) + sum(result.failure == COLLAPSED for result in own)
        if not tried or any(violation(objective, point) == 0 for point in known):
            continue
        line = f"{variant}: no feasible trial among {tried}: none has {rule}, on validation"
        best = min(known, key=lambda point: rank(objective, point), default=None)
        if best is not None and variant not in repeated and not objective.is_worth_repeating(best):
            line += f"; as the best has a KL of {number(best.kl)}, no fresh seeds were spent on it"
        found.append(line)
    return found
