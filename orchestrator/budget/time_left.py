"""How long a sweep's training will take still, from what its trials have cost and what is planned.

An epoch of aggressive training takes some 40 times as many steps as another, so no trial is extrapolated
from its epochs: the estimate counts steps. What it needs to know it learns, each variant by itself: seconds
a step, steps an epoch, inner steps an update, and the seconds of a trial that are no training. Where
validation ends trainings, those that collapse are the shorter ones, and what is run again is none of these:
where all that a search has found so far has collapsed, nothing is taken to be.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from orchestrator.budget.turns import in_turns, makespan
from orchestrator.search.costs import INNER_STEPS, Costs
from orchestrator.search.objectives import Elbo, Objective, Point
from orchestrator.search.trial_plan import TrialPlan
from orchestrator.spec.length import Length
from trainables.variants import BASELINE


@dataclass(frozen=True)
class Spent:
    """What a trial has cost up to its last finished epoch.

    Attributes:
        updates: optimiser steps of the generator.
        inner: steps of the inference network alone.
        seconds: of the epochs.
        aggressive_epochs: those with inner steps.
        aggressive: whether the last epoch had any.
    """

    epochs: int = 0
    updates: int = 0
    inner: int = 0
    seconds: float = 0.0
    aggressive_epochs: int = 0
    aggressive: bool = False

    def after(self, epoch: int, metrics: Mapping[str, float]) -> Spent:
        """With one more epoch, whose metrics have the cost so far."""
        inner = int(metrics["inner_steps"])
        aggressive = inner > self.inner
        return Spent(
            epoch,
            int(metrics["optimizer_steps"]),
            inner,
            metrics["seconds"],
            self.aggressive_epochs + aggressive,
            aggressive,
        )


@dataclass(frozen=True)
class TrialCost:
    """A trial and what it has cost; `other` are its seconds beside the epochs, None while it runs, `waited`
    those since its last epoch (or its start), and `final` what it has come to, None where it has not."""

    plan: TrialPlan
    spent: Spent
    other: float | None = None
    waited: float = 0.0
    final: Point | None = None

    @property
    def loss(self) -> float:
        """NLL + KL."""
        return math.inf if self.final is None else self.final.nll_plus_kl

    @property
    def again(self) -> bool:
        """Whether it is the best of its variant once more."""
        return self.plan.kind == "replicate"

    @property
    def steps(self) -> int:
        return self.spent.updates + self.spent.inner

    @property
    def aggressive_epochs(self) -> int:
        """As far as it is known: what there were of them, if no more can come, or else what is planned."""
        over = self.other is not None or (self.spent.epochs > 0 and not self.spent.aggressive)
        return self.spent.aggressive_epochs if over else self.plan.build().updates.phase


@dataclass(frozen=True)
class TimeLeft:
    """The estimate.

    Args:
        epochs: of each trial, at least.
        most: of each trial, at most; where that is more, validation decides, and what the trials that have
            ended needed is what the others are taken to need.
        planned: number of trials by variant.
        typical: a plan for each variant, of which nothing else may be known.
        slots: trials at a time.
        earlier: epochs of a training in earlier sweeps, by variant, where they are known.
        repeats: how many of the planned ones are the best of their variant once more, by variant; its last.
        objective: which says whether a best is run again.
    """

    epochs: int
    most: int
    planned: Mapping[str, int]
    typical: Mapping[str, TrialPlan]
    slots: int
    earlier: Mapping[str, float] = field(default_factory=dict)
    repeats: Mapping[str, int] = field(default_factory=dict)
    objective: Objective = Elbo()

    def seconds(self, trials: Sequence[TrialCost]) -> float | None:
        """Until the last trial ends; None before any epoch has ended."""
        known = [trial for trial in trials if trial.spent.updates]
        if not known:
            return None
        off = _mean(
            (
                trial.spent.epochs / self._guess(trial.plan.variant, best=trial.again)
                for trial in known
                if trial.other is not None
            ),
            1.0,
        )
        costs = {variant: self._cost(variant, known, off) for variant in self.typical}
        running = [
            max(0.0, costs[trial.plan.variant].left(trial) - trial.waited)
            for trial in trials
            if trial.other is None
        ]
        begun = Counter(trial.plan.variant for trial in trials)
        repeats = Counter(self.repeats)
        collapsed = self._collapsed(trials)
        expected = {
            variant: count - repeats[variant] if variant in collapsed else count
            for variant, count in self.planned.items()
        }
        to_come = (
            costs[variant].whole(again=number >= self.planned[variant] - repeats[variant])
            for variant, number in in_turns(expected, begun)
        )
        return makespan(running, to_come, self.slots)

    def _collapsed(self, trials: Sequence[TrialCost]) -> set[str]:
        """The variants whose search has found something, and nothing that would be run again."""
        found = [(trial.plan.variant, trial.final) for trial in trials if trial.final and not trial.again]
        hopeful = {variant for variant, point in found if self.objective.is_worth_repeating(point)}
        return {variant for variant, _ in found} - hopeful

    def _cost(self, variant: str, known: Sequence[TrialCost], off: float) -> _Cost:
        """`off` is how many times as many epochs as guessed the trials that have ended took."""
        own = [trial for trial in known if trial.plan.variant == variant]
        first = TrialCost(self.typical[variant], Spent())  # so that not all hangs on one trial
        ended = [trial for trial in own if trial.other is not None]
        epochs, epochs_again = self._epochs(variant, ended, off)
        return _Cost(
            pace=_pace(own) if own else _pace_of_others(self.typical[variant], known),
            updates=_mean((trial.spent.updates / trial.spent.epochs for trial in own or known), 0.0),
            inner=_mean(
                (
                    trial.spent.inner
                    * trial.spent.epochs
                    / (trial.spent.updates * trial.spent.aggressive_epochs)
                    for trial in own
                    if trial.spent.aggressive_epochs
                ),
                INNER_STEPS,
            ),
            phase=_mean((trial.aggressive_epochs for trial in (first, *own)), 0.0),
            epochs=epochs,
            epochs_again=epochs_again,
            other=_mean((trial.other for trial in known if trial.other is not None), 0.0),
        )

    def place(self, epochs: int) -> str:
        """How far a trial is: "7/12", or "7" where nobody knows of how many."""
        return f"{epochs}/{self.epochs}" if self.epochs == self.most else str(epochs)

    def _epochs(self, variant: str, ended: Sequence[TrialCost], off: float) -> tuple[float, float]:
        """Those of its trials, and of its best once more: as many as what has been run again had, or else the
        best so far; before one has ended a guess."""
        if self.epochs == self.most:
            return self.epochs, self.epochs
        again = [trial for trial in ended if trial.again]
        searched = sorted((trial for trial in ended if not trial.again), key=lambda trial: trial.loss)
        guess, guess_again = (
            min(float(self.most), off * self._guess(variant, best=best)) for best in (False, True)
        )
        return (
            _mean((trial.spent.epochs for trial in searched), guess),
            _mean((trial.spent.epochs for trial in again or searched[:1]), guess_again),
        )

    def _guess(self, variant: str, *, best: bool) -> float:
        """Epochs of a training, as far as earlier sweeps or anyone can say."""
        length = Length(planned=self.epochs, most=self.most)
        return self.earlier.get(variant) or Costs(length).epochs_of(variant, best=best)


@dataclass(frozen=True)
class _Cost:
    """What a trial of a variant costs: seconds a step, updates an epoch, inner steps an update, aggressive
    epochs, epochs in all and those of the best once more, seconds that are no training."""

    pace: float
    updates: float
    inner: float
    phase: float
    epochs: float
    epochs_again: float
    other: float

    def whole(self, *, again: bool) -> float:
        return self._seconds(self.epochs_again if again else self.epochs, self.phase)

    def left(self, trial: TrialCost) -> float:
        return self._seconds(
            max(0.0, (self.epochs_again if trial.again else self.epochs) - trial.spent.epochs),
            trial.aggressive_epochs - trial.spent.aggressive_epochs,
        )

    def _seconds(self, epochs: float, aggressive: float) -> float:
        return self.pace * self.updates * (epochs + self.inner * min(aggressive, epochs)) + self.other


def _pace(trials: Sequence[TrialCost]) -> float:
    return sum(trial.spent.seconds for trial in trials) / sum(trial.steps for trial in trials)


def _pace_of_others(plan: TrialPlan, known: Sequence[TrialCost]) -> float:
    """That of the other variants; where only a baseline has run, without its lack of an encoder."""
    others = [trial for trial in known if trial.plan.variant != BASELINE]
    return _pace(others) if others else _pace(known) / plan.build().encoder.decoder_share


def _mean(values: Iterable[float], otherwise: float) -> float:
    found = list(values)
    return fmean(found) if found else otherwise
