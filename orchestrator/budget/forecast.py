"""What a sweep will take: trials, seconds, GPU-hours, cost, from the pace of its models on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.budget.caps import Caps, Used
from orchestrator.budget.probe import Pace
from orchestrator.budget.turns import in_turns, makespan
from orchestrator.search.costs import Trained
from orchestrator.search.plan import SearchPlan
from trainables.variants import BASELINE

START_S, REPORT_S = 15.0, 15.0
"""Of Ray and MLflow before the first trial, and of report and models behind the last."""
BETWEEN_S = 0.3
"""From a trial's end to the next one's first step."""


@dataclass(frozen=True)
class VariantForecast:
    """One variant's part: trials, how many of them are examined, epochs and seconds of a trial."""

    variant: str
    trials: int
    examined: int
    epochs: float
    trial_seconds: float
    examination_seconds: float
    memory: int

    @property
    def seconds(self) -> float:
        """Of all its trials, one after the other."""
        return self.trials * self.trial_seconds


@dataclass(frozen=True)
class Forecast:
    """The whole sweep.

    Args:
        variants: the baseline first.
        most_more: seeds that the test may add beyond the planned ones, by variant.
        slots: trials at a time.
    """

    variants: tuple[VariantForecast, ...]
    most_more: Mapping[str, int]
    slots: int

    @classmethod
    def of(
        cls,
        plan: SearchPlan,
        paces: Mapping[str, Pace],
        slots: int,
        trained: Mapping[str, Trained] | None = None,
    ) -> Forecast:
        """From the pace of each variant's typical trial, and what trainings have taken of variants of which
        that is known."""
        typical, planned = plan.typical(), plan.planned()
        repeats = {BASELINE: sum(map(plan.repeats, plan.baselines))}
        repeats |= {each.variant: plan.repeats(each) for each in plan.variants}
        more = max(0, plan.rounds.most - plan.rounds.first)
        return cls(
            tuple(
                _variant(
                    paces[name],
                    (trained or {}).get(name) or plan.costs.guess(typical[name], repeats[name] / trials),
                    name,
                    trials,
                    max(1, repeats[name]),
                )
                for name, trials in planned.items()
            ),
            {each.variant: more for each in plan.variants if plan.repeats(each)},
            slots,
        )

    @property
    def trial_seconds(self) -> float:
        """Of all trials, one after the other."""
        return sum(each.seconds for each in self.variants)

    @property
    def seconds(self) -> float:
        """Wall-clock time, from the command to its end, with the planned trials alone."""
        return self._seconds({})

    @property
    def most_seconds(self) -> float:
        """The same with all the seeds that the test may add."""
        return self._seconds(self.most_more)

    def amounts(self, caps: Caps) -> tuple[float, float | None]:
        """GPU-hours, and cost where there is a price, of the planned trials."""
        used = Used(self.seconds / 3600, self.trial_seconds / 3600)
        return caps.gpu_hours(used), caps.cost(used)

    def _seconds(self, more: Mapping[str, int]) -> float:
        counts = {each.variant: each.trials + more.get(each.variant, 0) for each in self.variants}
        seconds = {each.variant: each.trial_seconds for each in self.variants}
        turns = (seconds[variant] for variant, _ in in_turns(counts, {}))
        trials = makespan([], turns, self.slots)
        examined = [
            each.examination_seconds
            for each in self.variants
            for _ in range(each.examined + more.get(each.variant, 0))
        ]
        return START_S + trials + makespan([], examined, self.slots) + REPORT_S


def _variant(pace: Pace, trained: Trained, variant: str, trials: int, examined: int) -> VariantForecast:
    seconds = pace.update * pace.updates * trained.cost + pace.evaluation * trained.epochs
    return VariantForecast(
        variant, trials, min(examined, trials), trained.epochs, seconds + pace.end + BETWEEN_S,
        pace.examination, pace.memory,
    )  # fmt: skip
