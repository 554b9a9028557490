"""Replays searches on recorded learning curves: which sampler and which stopping rule find the frontier, and
how much training each needs.

    python -m benchmarks.search

trains nothing. A search proposes configurations; each is taken to be the nearest recorded one of its variant
that has not been used, whose recorded curve on the replay's seed is what it is told, epoch by epoch. So all
searches see the same trainings. What they have found is judged by the mean of all seeds: the gain is the
area, in nats², by which the frontier of NLL over KL lies below the line NLL + KL = that of the baseline.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from benchmarks.record_curves import read_curves
from orchestrator.search.objectives import Point
from orchestrator.search.plan import SearchPlan
from orchestrator.search.rungs import Halving, Rungs
from orchestrator.search.study import VariantStudy

FLOOR = 0.5
WHOLE_WEIGHT = 0.99
NOISE = 0.1
"""Mutual information that is none, nats."""


@dataclass(frozen=True)
class Curve:
    """One recorded training: points over epochs (NLL less the baseline's NLL + KL), and their cost."""

    points: Sequence[Point]
    tokens: NDArray[np.float64]
    best_epoch: int
    annealed: int
    """Epochs after which the KL weight stays where it ends."""
    collapsed: Sequence[int]
    """Of each epoch, for how many in a row the weight has been whole and the latent variable dead."""

    @property
    def final(self) -> Point:
        return self.points[self.best_epoch - 1]

    def best(self, epochs: int) -> Point:
        """The point with the lowest NLL + KL of the first so many epochs."""
        return min(self.points[:epochs], key=lambda point: point.nll_plus_kl)


@dataclass(frozen=True)
class Configuration:
    """A configuration and its curve on each seed."""

    variant: str
    knobs: Mapping[str, Any]
    curves: Sequence[Curve]

    @property
    def true(self) -> Point:
        """The mean of its seeds."""
        finals = [curve.final for curve in self.curves]
        return Point(float(np.mean([p.nll for p in finals])), float(np.mean([p.kl for p in finals])))


@dataclass(frozen=True)
class Strategy:
    """A way to search. `quota` says whose turn it is, `prune` after how many dead epochs a trial ends."""

    name: str
    sampler: str
    objective: str = "frontier"
    constrained: bool = True
    halving: Halving | None = None
    from_annealed: bool = True
    quota: str = "tokens"
    prune: int | None = None
    repeats: int = 60


@dataclass
class Lane:
    """A variant's search in a replay."""

    study: VariantStudy
    left: list[Configuration]
    rungs: Rungs | None
    spent: float = 0.0
    waiting: dict[str, tuple[int, Configuration, int]] = field(default_factory=dict)
    """Trials that pause: number in the study, configuration, epochs trained."""
    gains: list[tuple[float, float]] = field(default_factory=list)
    """What each ended trial has added to the gain, and what it cost."""
    asked: int = 0


def read_table(path: Path, least: int | None = None) -> dict[str, list[Configuration]]:
    """The recorded configurations of each variant that have been trained on every seed."""
    records = read_curves(path)
    baselines: dict[str, list[float]] = {}
    for each in records:
        if each["variant"] == "language_model":
            baselines.setdefault(each["decoder"], []).append(float(min(np.add(each["nll"], each["kl"]))))
    found: dict[tuple[str, str], list[Curve]] = {}
    for each in records:
        if each["variant"] != "language_model" and not each["failure"]:
            key = (each["variant"], json.dumps(each["knobs"]))
            found.setdefault(key, []).append(_curve(each, float(np.mean(baselines[each["decoder"]]))))
    seeds = least or max(map(len, found.values()))
    table: dict[str, list[Configuration]] = {}
    for (variant, knobs), curves in found.items():
        if len(curves) >= seeds:
            table.setdefault(variant, []).append(Configuration(variant, json.loads(knobs), curves[:seeds]))
    return table


def _curve(record: Mapping[str, Any], baseline: float) -> Curve:
    weights = np.array(record["kl_weight"])
    low = np.flatnonzero(weights < WHOLE_WEIGHT * weights[-1])
    dead = (
        (weights >= WHOLE_WEIGHT * weights[-1])
        & (np.array(record["active_units"]) == 0)
        & (np.array(record["mutual_information"]) < NOISE)
    )
    rows: list[int] = []
    for each in dead:
        rows.append(rows[-1] + 1 if each and rows else int(each))
    return Curve(
        [Point(nll - baseline, kl) for nll, kl in zip(record["nll"], record["kl"], strict=True)],
        np.array(record["tokens"], dtype=np.float64),
        record["best_epoch"],
        int(low[-1]) + 1 if len(low) else 0,
        rows,
    )


def gain(points: Sequence[Point]) -> float:
    """The area in nats² that the frontier wins from the baseline's line, from the floor on KL upwards.

    At a KL of r the frontier's NLL is the least of the points with KL at most r; the area is the integral of
    what that lies below −r.
    """
    total, least = 0.0, math.inf
    ordered = sorted(points, key=lambda point: point.kl)
    for place, point in enumerate(ordered):
        least = min(least, point.nll)
        begin = max(point.kl, FLOOR)
        end = min(ordered[place + 1].kl if place + 1 < len(ordered) else math.inf, -least)
        if end > begin:
            total += (-least) * (end - begin) - (end**2 - begin**2) / 2
    return total


def replay(
    strategy: Strategy,
    table: Mapping[str, Sequence[Configuration]],
    plan: SearchPlan,
    seed: int,
    budget: float,
) -> list[tuple[float, float]]:
    """One search: tokens spent and gain, after each training that was ended."""
    rng = random.Random(seed)
    lanes = {
        each.variant: Lane(
            VariantStudy(each, plan),
            list(table[each.variant]),
            Rungs(strategy.halving) if strategy.halving else None,
        )
        for each in plan.variants
    }
    spent, found, path = 0.0, [], [(0.0, 0.0)]
    seeds = len(next(iter(table.values()))[0].curves)
    while spent < budget:
        lane = _QUOTAS[strategy.quota](
            [each for each in lanes.values() if each.left or _promotable(each)], rng
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
        stop, rung = _until(strategy, curve, done)
        cost = curve.tokens[stop - 1] - (curve.tokens[done - 1] if done else 0.0)
        spent, lane.spent = spent + cost, lane.spent + cost
        if rung is not None:
            assert lane.rungs is not None
            lane.rungs.enter(rung, trial_id, curve.best(stop))
            lane.waiting[trial_id] = (number, configuration, stop)
        elif stop < len(curve.points):
            lane.study.tell(number, None)
            lane.gains.append((0.0, cost))
        else:
            lane.study.tell(number, curve.final)
            found.append(configuration.true)
            reached = gain(found)
            lane.gains.append((reached - path[-1][1], cost))
            path.append((spent, reached))
    return path


def _promotable(lane: Lane) -> str | None:
    return lane.rungs.promotable() if lane.rungs else None


def _until(strategy: Strategy, curve: Curve, done: int) -> tuple[int, int | None]:
    """Epochs up to which the trial trains now, and the rung that it pauses at there, if any."""
    for epochs in range(done + 1, len(curve.points)):
        if strategy.prune is not None and curve.collapsed[epochs - 1] >= strategy.prune:
            return epochs, None
        if strategy.halving is not None:
            before = curve.annealed if strategy.from_annealed else 0
            rung = strategy.halving.rung_of(epochs - before)
            if rung is not None:
                return epochs, rung
    return len(curve.points), None


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


def _in_turns(lanes: Sequence[Lane], rng: random.Random) -> Lane | None:
    return min(lanes, key=lambda lane: lane.asked, default=None)


def _equal_tokens(lanes: Sequence[Lane], rng: random.Random) -> Lane | None:
    return min(lanes, key=lambda lane: lane.spent, default=None)


def _bandit(lanes: Sequence[Lane], rng: random.Random) -> Lane | None:
    """Half of the turns go to the one whose last three trials moved the frontier most a token, the others to
    the one that has had least."""
    known = [lane for lane in lanes if len(lane.gains) >= 2]
    if len(known) < len(lanes) or rng.random() < 0.5:
        return _equal_tokens(lanes, rng)
    return max(
        known, key=lambda lane: sum(g for g, _ in lane.gains[-3:]) / sum(c for _, c in lane.gains[-3:])
    )


_QUOTAS: Mapping[str, Callable[[Sequence[Lane], random.Random], Lane | None]] = {
    "trials": _in_turns, "tokens": _equal_tokens, "bandit": _bandit,
}  # fmt: skip
