"""SearchPlan: everything that a sweep runs, before anything is known of the results."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from orchestrator.common.wording import plural
from orchestrator.search.configurations import largest, middle, number_of
from orchestrator.search.costs import Costs
from orchestrator.search.objectives import Objective, objective_of
from orchestrator.search.rounds import SeedRounds
from orchestrator.search.rungs import HalvingRule
from orchestrator.search.trial_plan import TrialPlan
from orchestrator.spec.baselines import shapes
from orchestrator.spec.overrides import VariantPlan
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.variants import BASELINE, load_variant

Study = tuple[str, str]

FIRST_BASELINES = 2
"""Seeds of a baseline that a search needs to know where its line lies; the others are for the test."""


def study_of(plan: VariantPlan | TrialPlan) -> Study:
    """Which search a plan or a trial belongs to: a variant has one, the baseline one for each decoder."""
    decoder = load_variant(BASELINE).with_knobs(plan.knobs).decoder_label if plan.variant == BASELINE else ""
    return plan.variant, decoder


@dataclass(frozen=True)
class SearchPlan:
    """What is run: each baseline on `baseline_seeds` seeds, `trials` trials for each variant, and each
    variant's best configuration again on fresh seeds, and on more where these do not decide: `rounds`. Of a
    baseline whose decoder the variants may pick or not only `FIRST_BASELINES` are run before one has. With
    `equal` a variant whose trials cost more than those of most others has fewer of them; with `by_gain` that
    is no variant's own, but what all of them share (`Turns`).

    A variant without searched knobs has nothing to pick: its trials are repeats on several seeds, and it
    is not replicated. A baseline with searched knobs has `baseline_trials` trials first, and the seeds that
    it is then run on are fresh ones.
    """

    variants: Sequence[VariantPlan]
    baselines: Sequence[VariantPlan]
    trials: int
    baseline_trials: int
    baseline_seeds: int
    equal: bool
    costs: Costs
    rounds: SeedRounds
    objective: Objective
    halving: HalvingRule | None
    sampler: str
    seed: int
    by_gain: bool = False
    stop_dominated: bool = False

    @classmethod
    def of(cls, spec: SweepSpec, longest: int | None = None) -> SearchPlan:
        """The plan of a spec; `longest` is the words of the corpus's longest sentence, with `</s>`."""
        searched = spec.most_baseline_trials > 0
        baselines = spec.baselines(longest)
        return cls(
            tuple(spec.search_spaces(longest).values()),
            tuple(plan if searched else replace(plan, distributions={}) for plan in baselines),
            spec.trials,
            spec.most_baseline_trials,
            spec.baseline_seeds,
            spec.search.equal != "trials",
            Costs(spec.epochs),
            SeedRounds.of(spec),
            objective_of(spec.search),
            HalvingRule.of(spec.search),
            spec.search.sampler,
            spec.seed,
            spec.search.equal == "nothing",
            spec.search.stop_dominated,
        )

    def planned(self, asked: Mapping[str, int] | None = None) -> dict[str, int]:
        """Number of trials by variant, the baseline's first; `asked` are those of the searches so far. What
        is left to share is taken to be shared alike."""
        planned = {BASELINE: sum(self.trials_of(plan) + self.repeats(plan) for plan in self.baselines)}
        known = asked or {}
        left = self.left(known)
        further = [plan for plan in self.variants if self.affords_more(plan, known)]
        for plan in self.variants:
            share = left / len(further) if plan in further else 0.0
            more = round(share / self.price(plan.variant))
            planned[plan.variant] = self._count(plan, known) + more + self.repeats(plan)
        return planned

    def typical(self) -> dict[str, TrialPlan]:
        """A trial of each variant, in the middle of what is searched."""
        plans = (*self.baselines[:1], *self.variants)
        return {
            plan.variant: self.searched_trial(
                plan, 0, {knob: middle(found) for knob, found in plan.distributions.items()}
            )
            for plan in plans
        }

    def largest(self) -> list[TrialPlan]:
        """A trial of each baseline and variant, at the end of what is searched: no model is larger."""
        return [
            self.searched_trial(plan, 0, {knob: largest(found) for knob, found in plan.distributions.items()})
            for plan in (*self.baselines, *self.variants)
        ]

    def trials_of(self, plan: VariantPlan) -> int:
        """The trials of a variant's or a baseline's search: fewer where it has fewer configurations, or where
        so many would cost more than those of other variants."""
        is_baseline = plan.variant == BASELINE
        if not plan.distributions:
            return 0 if is_baseline else self._affordable[plan.variant]
        most = self.baseline_trials if is_baseline else self._affordable[plan.variant]
        return int(min(most, number_of(plan.distributions)))

    def turn_of(self, plan: VariantPlan, asked: int) -> float:
        """The search that has the least of this is next: its trials so far, or what they cost, so that
        whenever a sweep is ended all variants have had the same."""
        return asked * self.price(plan.variant)

    def price(self, variant: str) -> float:
        """What a typical trial of that variant costs, in epochs of joint training; 1 of each where trials are
        what is equal."""
        return self._prices[variant] if self.equal else 1.0

    def own(self, plan: VariantPlan) -> int:
        """The trials that a variant's or a baseline's search has before anything is shared."""
        return 1 if self.by_gain and _is_searched(plan) else self.trials_of(plan)

    def left(self, asked: Mapping[str, int]) -> float:
        """What the searches of the variants share, beside the trials that each has of its own: what one that
        has fewer configurations leaves, or with `by_gain` all the rest."""
        return sum(
            (self._affordable[plan.variant] - self._count(plan, asked)) * self.price(plan.variant)
            for plan in self.variants
            if _is_searched(plan)
        )

    def affords_more(self, plan: VariantPlan, asked: Mapping[str, int]) -> bool:
        """Whether a search may have another trial of what is shared."""
        more = _is_searched(plan) and self._count(plan, asked) < number_of(plan.distributions)
        return more and self.price(plan.variant) <= self.left(asked)

    def _count(self, plan: VariantPlan, asked: Mapping[str, int]) -> int:
        """Its own trials, or as many more as it has had."""
        return max(self.own(plan), asked.get(plan.variant, 0))

    @cached_property
    def _prices(self) -> dict[str, float]:
        """Of each variant; asked for at every turn."""
        return {variant: self.costs.of(trial) for variant, trial in self.typical().items()}

    @cached_property
    def _affordable(self) -> dict[str, int]:
        """Of each variant as many trials as cost what `trials` of the median one do; at least one."""
        median = statistics.median_low([self.price(each.variant) for each in self.variants])
        return {
            each.variant: max(1, round(self.trials * min(1.0, median / self.price(each.variant))))
            for each in self.variants
        }

    def repeats(self, plan: VariantPlan) -> int:
        """How often the best configuration is run again; of a baseline, how often it is sure to be run."""
        if plan.variant != BASELINE:
            return self.rounds.first if plan.distributions else 0
        certain = study_of(plan)[1] in self._certain
        return self.baseline_seeds if certain else min(self.baseline_seeds, FIRST_BASELINES)

    @cached_property
    def _certain(self) -> frozenset[str]:
        """The decoders of variants that have no choice."""
        found = [{shape.decoder_label for shape in shapes(plan)} for plan in self.variants]
        return frozenset(label for labels in found if len(labels) == 1 for label in labels)

    def cautions(self) -> list[str]:
        """A sentence for each variant that searches what its baseline has fixed, for each that has fewer
        configurations than it may have trials, and on where trials pause."""
        found = {knob for plan in self.baselines for knob in plan.distributions}
        few = []
        if self.by_gain:
            few.append(
                "after one trial of each variant the next is always of the one whose trials have lately moved"
                " the frontier most for their cost: what they have had is not equal"
            )
        more = any(self.affords_more(plan, {}) for plan in self.variants)
        for plan in () if self.by_gain else self.variants:
            count = self.trials_of(plan)
            if count < (most := self._affordable[plan.variant]):
                few.append(
                    f"{plan.variant} has only {plural(count, 'configuration')}, so it gets no more trials"
                    + ("; what it leaves goes where the frontier still moves" if more else "")
                )
            elif most < self.trials:
                rate = self.price(plan.variant) / self.costs.epochs_of(plan.variant)
                few.append(
                    f"{plan.variant} gets {plural(count, 'trial')} of {self.trials}, as one costs some"
                    f" {rate:.1f} times as much as one of joint training (search.equal: trials gives it all)"
                )
        if self.halving is not None:
            levels = " and ".join(map(str, self.halving.levels))
            few.append(
                f"searched trials pause {levels} epochs behind the end of their annealing, and one of "
                f"{self.halving.eta} of each variant goes on"
            )
        return few + [
            f"{plan.variant} searches {', '.join(knobs)}, its baseline does not: some gain may be theirs"
            for plan in self.variants
            if (
                knobs := sorted(
                    load_variant(plan.variant).with_knobs(plan.knobs).shared_knobs()
                    & plan.distributions.keys() - found
                )
            )
        ]

    def baselines_of(
        self, best: Mapping[Study, TrialPlan], decoders: Collection[str] = ()
    ) -> Iterator[TrialPlan]:
        """The language models that are sure to be run, and all of these decoders; all of a seed before the
        next seed. `best` has the configurations that a search has found."""
        for repeat in range(self.baseline_seeds):
            for plan in self.baselines:
                study = study_of(plan)
                if repeat >= self.repeats(plan) and study[1] not in decoders:
                    continue
                found = best.get(study)
                if found is None:
                    yield TrialPlan(BASELINE, "baseline", plan.knobs, self.seed + repeat)
                else:
                    seed = self.seed + 1 + repeat
                    yield TrialPlan(BASELINE, "baseline", found.knobs, seed, found.searched)

    def is_early(self, plan: TrialPlan) -> bool:
        """Whether it is a run of a baseline that the searches go by."""
        first = self.seed + bool(plan.searched)
        return plan.variant == BASELINE and plan.seed < first + FIRST_BASELINES

    def searched_trial(self, plan: VariantPlan, number: int, found: Mapping[str, Any]) -> TrialPlan:
        """Trial `number` of a variant's or a baseline's search with the knobs found by it."""
        seed = self.seed if plan.distributions else self.seed + number
        knobs = {**plan.knobs, **found}
        return TrialPlan(plan.variant, "trial", knobs, seed, tuple(plan.distributions))

    def replicate(self, best: TrialPlan, number: int) -> TrialPlan:
        """The configuration once more, on a seed that took no part in the search."""
        return TrialPlan(best.variant, "replicate", best.knobs, self.seed + 1 + number, best.searched)


def _is_searched(plan: VariantPlan) -> bool:
    return plan.variant != BASELINE and bool(plan.distributions)
