"""Which knobs matter: for each variant the share of a figure's variance that each searched knob explains.

Functional ANOVA (Hutter et al. 2014) by Optuna: a random forest learns the figure from the knobs, and its
variance over the search space is taken apart. It has no direction, as NLL and KL want it: "what makes the
KL low" would be answered with what makes the latent collapse. PED-ANOVA, Optuna's default, asks what the best
tenth of the trials has in common, and advises five trials in it: 50 a variant, more than most sweeps have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from sklearn.ensemble import RandomForestRegressor

from orchestrator.analysis.comparison import non_dominated
from orchestrator.analysis.paired_test import FloatArray
from orchestrator.analysis.results import TrialResult

TARGETS = {"nll": "NLL", "kl": "KL", "behind": "behind the frontier"}
"""What is explained, by its name in a table. The last is how far a trial stays behind the frontier of its
sweep's trials and baselines: the nats that both of its objectives lack, 0 on the frontier. Whether it is on
the frontier would be one bit a trial, and nothing at all for a variant that has no trial there."""
FEWEST_TRIALS = 10
EXPLAINED = 0.1
"""Below this share of unseen trials' variance the forest has learnt nothing. Of figures that are pure noise
it "explains" more in one of eight samples of 10 trials, in one of thirty of 16."""
SEED = 0
_TREES, _DEPTH = 64, 64


@dataclass(frozen=True)
class Importance:
    """How much of a figure each knob of a variant explains.

    Attributes:
        target: a name in ``TARGETS``.
        trials: of the search that finished.
        shares: of the variance that the forest sees, by knob, the largest first; they sum to 1. Empty where
            ``reason`` says why.
        explained: R² of the forest on trials that its trees have not seen; NaN where there is no forest.
    """

    variant: str
    target: str
    trials: int
    shares: Mapping[str, float] = field(default_factory=dict)
    explained: float = math.nan
    reason: str = ""


def importances(
    results: Sequence[TrialResult], distributions: Mapping[str, Mapping[str, BaseDistribution]]
) -> list[Importance]:
    """The importance of each variant's searched knobs for each target, on test figures of single runs.

    Only trials of the search count, not the replicates of what it found. A knob that only some of a
    variant's trials have is left out. The same trials give the same figures.

    Args:
        results: all trials of a sweep.
        distributions: what was searched, by variant and knob.
    """
    finished = [result for result in results if result.final and result.plan.kind != "replicate"]
    points = np.array([[r.final["test/kl"], r.final["test/nll"]] for r in finished]).reshape(-1, 2)
    figures = {"kl": points[:, 0], "nll": points[:, 1], "behind": behind(points)}
    variants = dict.fromkeys(result.plan.variant for result in results if result.plan.searched)
    found: list[Importance] = []
    for variant in sorted(variants):
        rows = [place for place, r in enumerate(finished) if r.plan.variant == variant and r.plan.searched]
        study = _Space.of([finished[row] for row in rows], distributions.get(variant, {}))
        found += [_importance(variant, target, study, figures[target][rows]) for target in TARGETS]
    return found


def behind(points: FloatArray) -> FloatArray:
    """How far each point (KL, NLL) is behind the frontier of all: the least ε in nats by which both of its
    objectives must fall for no point to be lower in both; 0 on the frontier, NaN if it is not finite."""
    distance = np.full(len(points), math.nan)
    finite = np.isfinite(points).all(axis=1)
    front = points[non_dominated(points[:, 0], points[:, 1])]
    for place in np.flatnonzero(finite):
        distance[place] = max(0.0, float((points[place] - front).min(axis=1).max()))
    return distance


@dataclass(frozen=True)
class _Space:
    """A variant's trials in the space where the search was uniform: a logarithmic knob by its logarithm.

    Trees do not care, but the variance is taken over the whole range: of [1e-4, 1] on its own scale nine
    tenths lie above 0.1, where the search hardly was.
    """

    distributions: Mapping[str, BaseDistribution]
    values: Sequence[Mapping[str, object]]

    @classmethod
    def of(cls, trials: Sequence[TrialResult], stored: Mapping[str, BaseDistribution]) -> _Space:
        shared = [
            knob
            for knob in stored
            if trials and all(knob in trial.plan.searched and knob in trial.plan.knobs for trial in trials)
        ]
        spaces = {knob: _straight(stored[knob]) for knob in shared}
        values = [
            {knob: _straightened(stored[knob], trial.plan.knobs[knob]) for knob in shared} for trial in trials
        ]
        return cls(spaces, values)

    def features(self) -> FloatArray:
        """A column for each number and for each choice."""
        columns = [
            np.array([float(row[knob] == choice) for row in self.values])
            for knob, found in self.distributions.items()
            if isinstance(found, CategoricalDistribution)
            for choice in found.choices
        ]
        columns += [
            np.array([float(row[knob]) for row in self.values])  # type: ignore[arg-type]
            for knob, found in self.distributions.items()
            if not isinstance(found, CategoricalDistribution)
        ]
        return np.column_stack(columns)


def _importance(variant: str, target: str, space: _Space, figures: FloatArray) -> Importance:
    finite = np.isfinite(figures)
    trials = int(finite.sum())

    def without(reason: str, explained: float = math.nan) -> Importance:
        return Importance(variant, target, trials, {}, explained, reason)

    if trials < FEWEST_TRIALS:
        return without(f"too few trials ({trials} of {FEWEST_TRIALS})")
    if not space.distributions:
        return without("its search space is not known")
    if np.ptp(figures[finite]) == 0:
        return without("the same in all trials")
    kept = _Space(space.distributions, [row for row, use in zip(space.values, finite, strict=True) if use])
    explained = _explained(kept.features(), figures[finite])
    if not explained >= EXPLAINED:
        return without(f"the knobs explain nothing of it in {trials} trials", explained)
    try:
        return Importance(variant, target, trials, _shares(kept, figures[finite]), explained)
    except ValueError:  # a value that its distribution does not hold
        return without("its trials do not fit its search space")


def _explained(features: FloatArray, figures: FloatArray) -> float:
    """R² on the trials that each tree was not grown on."""
    forest = RandomForestRegressor(_TREES, max_depth=_DEPTH, oob_score=True, random_state=SEED)
    return float(forest.fit(features, figures).oob_score_)


def _shares(space: _Space, figures: FloatArray) -> dict[str, float]:
    with _quiet():
        study = optuna.create_study()
        study.add_trials(
            optuna.trial.create_trial(
                params=dict(row), distributions=dict(space.distributions), value=float(value)
            )
            for row, value in zip(space.values, figures, strict=True)
        )
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=_TREES, max_depth=_DEPTH, seed=SEED)
        knobs = list(space.distributions)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=knobs)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _straight(found: BaseDistribution) -> BaseDistribution:
    if isinstance(found, FloatDistribution | IntDistribution) and found.log:
        return FloatDistribution(math.log(found.low), math.log(found.high))
    return found


def _straightened(found: BaseDistribution, value: object) -> object:
    log = isinstance(found, FloatDistribution | IntDistribution) and found.log
    return math.log(float(value)) if log else value  # type: ignore[arg-type]


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna says of every study that it has made it."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
