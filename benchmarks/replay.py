"""One search over recorded configurations, without any training.

A search proposes configurations; each is taken to be the nearest recorded one of its variant that has not
been used, whose recorded curve on the replay's seed is what it is told, epoch by epoch. So all searches see
the same trainings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from ray.tune.search.optuna import OptunaSearch

from benchmarks.record_curves import OPTIONS
from benchmarks.recorded import Configuration, Curve, gain
from orchestrator.search.objectives import Point
from orchestrator.search.plan import SearchPlan
from orchestrator.search.prospects import Prospects
from orchestrator.search.rungs import HalvingRule, Rungs
from orchestrator.search.study import VariantStudy
from orchestrator.search.turns import Turns
from orchestrator.spec.overrides import VariantPlan
from orchestrator.spec.sweep_spec import SweepSpec

TRIALS = 8
RAY = "optuna.samplers:TPESampler"
"""The sampler of a strategy that is Ray Tune's OptunaSearch."""


@dataclass(frozen=True)
class Strategy:
    """A way to search. `quota` says whose turn it is: of the variant that has had fewest trials, or fewest
    tokens, or with "nothing" of whose trials promise most; `prune` after how many dead epochs a trial ends,
    `dominated` whether one ends that will not come to the frontier, `default` whether a variant's default
    comes first."""

    name: str
    sampler: str
    objective: str = "frontier"
    constrained: bool = True
    halving: HalvingRule | None = None
    from_annealed: bool = True
    quota: str = "tokens"
    prune: int | None = None
    dominated: bool = False
    default: bool = True
    repeats: int = 30

    def plan(self, seed: int, longest: int) -> SearchPlan:
        """Of the recorded variants."""
        search: dict[str, Any] = {"sampler": self.sampler, "objective": self.objective}
        if not self.constrained:
            search |= {"kl_floor": 0.0, "margin": 1e9}
        if self.quota == "nothing":
            search["equal"] = self.quota
        options = {**OPTIONS, "name": "replay", "trials": TRIALS, "seed": seed, "search": search}
        return SearchPlan.of(SweepSpec.load(None, options), longest)


@dataclass(frozen=True)
class Proposal:
    """What `RayStudy` asks for."""

    number: int
    params: Mapping[str, Any]


class RayStudy:
    """Ray Tune's OptunaSearch as it comes, with two objectives, in the place of a `VariantStudy`."""

    def __init__(self, plan: VariantPlan, search: SearchPlan) -> None:
        self.plan, self.asked = plan, 0
        self._search = OptunaSearch(
            dict(plan.distributions), metric=["nll", "kl"], mode=["min", "min"], seed=search.seed
        )

    def ask(self) -> Proposal:
        params = self._search.suggest(str(self.asked))
        assert params is not None
        self.asked += 1
        return Proposal(self.asked - 1, params)

    def tell(self, number: int, point: Point | None, otherwise: TrialState = TrialState.PRUNED) -> None:
        result = None if point is None else {"nll": point.nll, "kl": point.kl}
        self._search.on_trial_complete(str(number), result, error=result is None)


@dataclass
class Lane:
    """A variant's search in a replay."""

    study: VariantStudy | RayStudy
    left: list[Configuration]
    rungs: Rungs | None
    prospects: Prospects | None
    spent: float = 0.0
    waiting: dict[str, tuple[int, Configuration, int]] = field(default_factory=dict)
    """Trials that pause: number in the study, configuration, epochs trained."""
    asked: int = 0
    finals: list[Point] = field(default_factory=list)

    def is_dominated(self, trial_id: str, behind: int, point: Point) -> bool:
        """Whether a trial ends that stands there, so many epochs behind the end of its annealing."""
        if self.prospects is None or behind <= 0:
            return False
        assert isinstance(self.study, VariantStudy)
        self.prospects.stands(trial_id, behind, point)
        return self.prospects.is_dominated(self.study.objective, behind, point, self.finals)


def replay(
    strategy: Strategy,
    table: Mapping[str, Sequence[Configuration]],
    plan: SearchPlan,
    seed: int,
    budget: float,
    trials: float = math.inf,
) -> list[tuple[float, float]]:
    """One search with so many tokens and so many trials of each variant: tokens spent and gain, after each
    training that was ended, and at last what was spent on those that were not."""
    turns = Turns(plan)
    kind = RayStudy if strategy.sampler == RAY else VariantStudy
    lanes = {
        each.variant: Lane(
            kind(each, plan),
            list(table[each.variant]),
            Rungs(strategy.halving) if strategy.halving else None,
            Prospects() if strategy.dominated else None,
        )
        for each in plan.variants
    }
    if not strategy.default:  # it is the first proposal
        for lane in lanes.values():
            lane.study.tell(lane.study.ask().number, None, TrialState.FAIL)
    spent, found, path = 0.0, [], [(0.0, 0.0)]
    seeds = len(next(iter(table.values()))[0].curves)
    while spent < budget:
        lane = _QUOTAS[strategy.quota](
            [each for each in lanes.values() if (each.left and each.asked < trials) or _promotable(each)],
            turns,
        )
        if lane is None:
            break
        trial_id = _promotable(lane)
        if trial_id is not None:
            assert lane.rungs is not None
            lane.rungs.promote(trial_id)
            number, configuration, done = lane.waiting.pop(trial_id)
        else:
            trial = lane.study.ask()
            number, done = trial.number, 0
            configuration = _taken(lane.left, trial.params, lane.study.plan.distributions)
            trial_id = str(number)
            lane.asked += 1
        curve = configuration.curves[seed % seeds]
        stop, pauses = _until(strategy, lane, trial_id, curve, done)
        cost = curve.tokens[stop - 1] - (curve.tokens[done - 1] if done else 0.0)
        spent, lane.spent = spent + cost, lane.spent + cost
        if pauses:
            assert lane.rungs is not None
            lane.rungs.enter(trial_id, stop - _clock(strategy, curve), curve.best(stop))
            lane.waiting[trial_id] = (number, configuration, stop)
        elif stop < len(curve.points):
            _tell(lane, number, None, turns)
        else:
            _tell(lane, number, curve.final, turns)
            lane.finals.append(curve.final)
            if lane.prospects is not None:
                lane.prospects.ends(trial_id, curve.final)
            found.append(configuration.true)
            path.append((spent, gain(found)))
    return [*path, (spent, path[-1][1])] if trials < math.inf else path


def _promotable(lane: Lane) -> str | None:
    return lane.rungs.promotable(lane.waiting) if lane.rungs else None


def _until(strategy: Strategy, lane: Lane, trial_id: str, curve: Curve, done: int) -> tuple[int, bool]:
    """Epochs up to which the trial trains now, and whether it pauses at a rung there."""
    levels = strategy.halving.levels if strategy.halving else ()
    for epochs in range(done + 1, len(curve.points)):
        if strategy.prune is not None and curve.collapsed[epochs - 1] >= strategy.prune:
            return epochs, False
        if lane.is_dominated(trial_id, epochs - curve.annealed, curve.best(epochs)):
            return epochs, False
        if epochs - _clock(strategy, curve) in levels:
            return epochs, True
    return len(curve.points), False


def _clock(strategy: Strategy, curve: Curve) -> int:
    """The epochs before which no rung's clock runs."""
    return curve.annealed if strategy.from_annealed else 0


def _taken(
    left: list[Configuration], params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]
) -> Configuration:
    """The nearest configuration that is left, which is left no longer."""
    found = min(left, key=lambda each: _distance(each.knobs, params, distributions))
    left.remove(found)
    return found


def _distance(
    one: Mapping[str, Any], other: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]
) -> float:
    return sum((_place(one[k], found, other[k])) ** 2 for k, found in distributions.items())


def _place(one: Any, found: BaseDistribution, other: Any) -> float:
    match found:
        case CategoricalDistribution():
            return float(one != other)
        case FloatDistribution(log=True) | IntDistribution(log=True):
            return (math.log(one) - math.log(other)) / (math.log(found.high) - math.log(found.low) or 1.0)
        case FloatDistribution() | IntDistribution():
            return float((one - other) / ((found.high - found.low) or 1.0))
    raise TypeError(found)


def _tell(lane: Lane, number: int, point: Point | None, turns: Turns) -> None:
    lane.study.tell(number, point)
    if isinstance(lane.study, VariantStudy):
        turns.ended(lane.study, point)


def _fewest_trials(lanes: Sequence[Lane], turns: Turns) -> Lane | None:
    return min(lanes, key=lambda lane: lane.asked, default=None)


def _fewest_tokens(lanes: Sequence[Lane], turns: Turns) -> Lane | None:
    return min(lanes, key=lambda lane: lane.spent, default=None)


def _most_promising(lanes: Sequence[Lane], turns: Turns) -> Lane | None:
    def place(lane: Lane) -> tuple[bool, float, float]:
        assert isinstance(lane.study, VariantStudy)
        return turns.place(lane.study)

    return min(lanes, key=place, default=None)


_QUOTAS: Mapping[str, Callable[[Sequence[Lane], Turns], Lane | None]] = {
    "trials": _fewest_trials, "tokens": _fewest_tokens, "nothing": _most_promising,
}  # fmt: skip
