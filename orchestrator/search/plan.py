"""SearchPlan: everything that a sweep runs, before anything is known of the results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.common.wording import plural
from orchestrator.search.configurations import middle, number_of
from orchestrator.search.trial_plan import TrialPlan
from orchestrator.spec.overrides import VariantPlan
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.variants import BASELINE, load_variant


@dataclass(frozen=True)
class SearchPlan:
    """What is run: each baseline on `baseline_seeds` seeds, `trials` trials for each variant, and each
    variant's best configuration again on `replicates` fresh seeds, and on more, up to `most_replicates`,
    where these do not decide.

    A variant without searched knobs has nothing to pick: its trials are repeats on several seeds, and it
    is not replicated.
    """

    variants: Sequence[VariantPlan]
    baselines: Sequence[Mapping[str, Any]]
    trials: int
    baseline_seeds: int
    replicates: int
    most_replicates: int
    seed: int

    @classmethod
    def of(cls, spec: SweepSpec, longest: int | None = None) -> SearchPlan:
        """The plan of a spec; `longest` is the words of the corpus's longest sentence, with `</s>`."""
        return cls(
            tuple(spec.search_spaces(longest).values()),
            tuple(spec.baselines(longest)),
            spec.trials,
            spec.baseline_seeds,
            spec.replicates,
            spec.most_replicates,
            spec.seed,
        )

    def planned(self) -> dict[str, int]:
        """Number of trials by variant, the baseline's first."""
        planned = {BASELINE: len(self.baselines) * self.baseline_seeds}
        return planned | {plan.variant: self.trials_of(plan) + self.repeats(plan) for plan in self.variants}

    def typical(self) -> dict[str, TrialPlan]:
        """A trial of each variant, in the middle of what is searched."""
        baseline = TrialPlan(BASELINE, "baseline", self.baselines[0] if self.baselines else {}, self.seed)
        return {BASELINE: baseline} | {
            plan.variant: self.searched_trial(
                plan, 0, {knob: middle(found) for knob, found in plan.distributions.items()}
            )
            for plan in self.variants
        }

    def trials_of(self, variant: VariantPlan) -> int:
        """The trials of the variant's search: fewer where it has fewer different configurations."""
        if not variant.distributions:
            return self.trials
        return int(min(self.trials, number_of(variant.distributions)))

    def repeats(self, variant: VariantPlan) -> int:
        """How often the variant's best configuration is run again."""
        return self.replicates if variant.distributions else 0

    def cautions(self) -> list[str]:
        """A sentence for each variant that searches what its baseline has fixed, and for each that has fewer
        configurations than it may have trials."""
        few = [
            f"{plan.variant} has only {plural(count, 'configuration')}, so it gets no more trials"
            for plan in self.variants
            if (count := self.trials_of(plan)) < self.trials
        ]
        return few + [
            f"{plan.variant} searches {', '.join(knobs)}, its baseline does not: some gain may be theirs"
            for plan in self.variants
            if (
                knobs := sorted(
                    load_variant(plan.variant).with_knobs(plan.knobs).shared_knobs()
                    & plan.distributions.keys()
                )
            )
        ]

    def baseline_trials(self) -> Iterator[TrialPlan]:
        """The language models, all decoders of a seed before the next seed."""
        for repeat in range(self.baseline_seeds):
            for knobs in self.baselines:
                yield TrialPlan(BASELINE, "baseline", knobs, self.seed + repeat)

    def searched_trial(self, variant: VariantPlan, number: int, found: Mapping[str, Any]) -> TrialPlan:
        """The variant's trial `number` with the knobs found by the search."""
        seed = self.seed if variant.distributions else self.seed + number
        knobs = {**variant.knobs, **found}
        return TrialPlan(variant.variant, "trial", knobs, seed, tuple(variant.distributions))

    def replicate(self, best: TrialPlan, number: int) -> TrialPlan:
        """The configuration once more, on a seed that took no part in the search."""
        return TrialPlan(best.variant, "replicate", best.knobs, self.seed + 1 + number, best.searched)
