"""VariantStudy: the search of one variant, or of a baseline: Optuna's study and what it was told."""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from orchestrator.search.configurations import Configuration, alike, configuration, number_of, unseen
from orchestrator.search.objectives import Elbo, Objective, Point
from orchestrator.search.plan import SearchPlan, study_of
from orchestrator.search.samplers import Task, build, first_points
from orchestrator.search.trial_plan import TrialPlan
from orchestrator.spec.overrides import VariantPlan
from trainables.variants import BASELINE, load_variant

PROPOSALS = 20
"""So often the sampler may propose what has been asked for already."""


@dataclass(frozen=True)
class Known:
    """What a configuration came to in an earlier sweep; NLL less NLL + KL of that sweep's baseline."""

    variant: str
    params: Mapping[str, Any]
    nll: float
    kl: float

    @property
    def point(self) -> Point:
        return Point(self.nll, self.kl)


class VariantStudy:
    """See the module. It can be pickled, sampler included.

    Args:
        plan: the variant, with its fixed knobs and what is searched.
        search: the sweep's plan.

    Raises:
        SpecError: the sampler cannot search this.
    """

    def __init__(self, plan: VariantPlan, search: SearchPlan) -> None:
        self.plan = plan
        self.is_baseline = plan.variant == BASELINE
        self.objective: Objective = Elbo() if self.is_baseline else search.objective
        self.asked = 0
        self.seen: dict[Configuration, Point | None] = {}
        """What has been asked for, with what it came to once that is known."""
        self.ended: list[tuple[TrialPlan, float, float]] = []
        """Trials that were trained to their end, with NLL and KL on validation."""
        self.optuna = self._create(search)
        self._random = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=search.seed))

    def ask(self) -> optuna.Trial:
        """A configuration that has not been asked for, nor one that is all but the same, which Gaussian
        processes propose while nothing is feasible. What is proposed once more is told what is known of it,
        and gives way to a random one; of finitely many, where nothing else is proposed, to the first of the
        others."""
        distributions = dict(self.plan.distributions)
        endless = number_of(distributions) == math.inf
        for attempt in range(PROPOSALS + 1):
            last = attempt == PROPOSALS and not endless
            if last and (other := unseen(distributions, self.seen)) is not None:
                self.optuna.enqueue_trial(dict(other))
            with _quiet():
                trial = self.optuna.ask(distributions)
            found = configuration(trial.params)
            near = attempt < PROPOSALS and any(alike(found, each, distributions) for each in self.seen)
            if not distributions or not (near or found in self.seen):
                break
            self.tell(trial.number, self.seen.get(found), TrialState.FAIL)
            if endless:
                self.optuna.enqueue_trial(self._random.ask(distributions).params)
        self.seen.setdefault(found, None)
        self.asked += 1
        return trial

    def tell(self, number: int, point: Point | None, otherwise: TrialState = TrialState.PRUNED) -> None:
        """What trial `number` came to; without a finite point it ended in the other state."""
        if point is None or not point.finite:
            self.optuna.tell(number, state=otherwise)
            return
        trial = optuna.trial.Trial(self.optuna, self._trials[number]._trial_id)
        for name, amount in self.objective.constraints(point).items():
            trial.set_constraint(name, amount)
        self.optuna.tell(number, self.objective.values(point))
        self.seen[configuration(trial.params)] = point

    def learn(self, known: Known) -> None:
        """Takes in what an earlier sweep has found; it is not asked for again."""
        self.tell(self._begun(known.params), known.point)

    def again(self, number: int) -> int:
        """The same configuration for another try, under a number of its own: a trial that was told FAIL
        cannot be told anything else."""
        return self._begun(self._trials[number].params)

    def _begun(self, params: Mapping[str, Any]) -> int:
        """A trial that runs with these values; its number."""
        distributions = dict(self.plan.distributions)
        self.optuna.add_trial(
            optuna.trial.create_trial(
                state=TrialState.RUNNING, params=dict(params), distributions=distributions
            )
        )
        return len(self._trials) - 1

    @property
    def _trials(self) -> list[FrozenTrial]:
        """As they are: `study.trials` copies all of them."""
        return self.optuna.get_trials(deepcopy=False)

    def _create(self, search: SearchPlan) -> optuna.Study:
        name = " ".join(study_of(self.plan)).strip()
        seed = zlib.crc32(f"{search.seed} {name}".encode())
        task = Task(
            seed, self.plan.distributions, search.trials_of(self.plan), len(self.objective.directions)
        )
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # warnings advise a programmer
        created = optuna.create_study(
            study_name=self.plan.variant,
            sampler=build(search.sampler, task),
            directions=self.objective.directions,
        )
        knobs = load_variant(self.plan.variant).with_knobs(self.plan.knobs).knobs()
        default = {knob: knobs[knob] for knob in self.plan.distributions if knob in knobs}
        for point in first_points(search.sampler, task, default):
            created.enqueue_trial(dict(point))
        return created


@contextmanager
def _quiet() -> Iterator[None]:
    """A sampler's advice to its programmer is none to the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
