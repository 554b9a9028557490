"""SweepSearcher: Optuna's ask and tell, in the order of a sweep, as a Ray Tune searcher.

First the baselines, then the search, one study a variant, in turns and with equal budgets, then each
variant's best configuration once more on fresh seeds. What is asked depends on the seed and on what has
been told alone, and the whole state, samplers included, travels in the searcher's checkpoint.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import warnings
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from ray.tune.search import Searcher

from orchestrator.overrides import VariantPlan
from orchestrator.plan import SearchPlan
from orchestrator.records import TrialPlan
from trainables.variant import load_variant

OBJECTIVE = "best/nll_plus_kl"


@dataclass
class _Study:
    """A variant's search as it stands."""

    plan: VariantPlan
    optuna: optuna.Study
    asked: int = 0
    running: dict[str, tuple[int, TrialPlan]] = field(default_factory=dict)
    best: tuple[float, TrialPlan] | None = None


class SweepSearcher(Searcher):
    """See the module. `suggest` returns None while it waits for the search to end before replicating."""

    def __init__(self, plan: SearchPlan) -> None:
        super().__init__()
        self.plan = plan
        self._first: deque[TrialPlan] = deque(plan.baseline_trials())
        self._studies = [_Study(study, _new_study(study, plan)) for study in plan.variants]
        self._last: deque[TrialPlan] | None = None

    def suggest(self, trial_id: str) -> Any:
        if self._first:
            return self._first.popleft().config()
        behind = min(self._studies, key=lambda study: study.asked)
        if behind.asked < self.plan.trials:
            return self._ask(behind, trial_id).config()
        if self._last is None:
            if any(study.running for study in self._studies):
                return None
            self._last = deque(self._replicates())
        return self._last.popleft().config() if self._last else Searcher.FINISHED

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tells the study: a value for a full training, PRUNED for a failure that the configuration
        caused (FAIL would teach TPE nothing), FAIL for one of the infrastructure."""
        for study in self._studies:
            if trial_id not in study.running:
                continue
            number, plan = study.running.pop(trial_id)
            value = (result or {}).get(f"final/{OBJECTIVE}")
            if value is not None:
                study.optuna.tell(number, value)
                if study.best is None or value < study.best[0]:
                    study.best = (value, plan)
            elif (result or {}).get("failure") is not None:
                study.optuna.tell(number, state=TrialState.PRUNED)
            else:
                study.optuna.tell(number, state=TrialState.FAIL)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing is learnt before a training ends."""

    def save(self, checkpoint_path: str) -> None:
        partial = Path(f"{checkpoint_path}.partial")
        partial.write_bytes(pickle.dumps((self.plan, self._first, self._studies, self._last)))
        os.replace(partial, checkpoint_path)

    def restore(self, checkpoint_path: str) -> None:
        state = pickle.loads(Path(checkpoint_path).read_bytes())
        self.plan, self._first, self._studies, self._last = state

    def _ask(self, study: _Study, trial_id: str) -> TrialPlan:
        trial = study.optuna.ask(dict(study.plan.distributions))
        plan = self.plan.searched_trial(study.plan, study.asked, trial.params)
        study.running[trial_id] = (trial.number, plan)
        study.asked += 1
        return plan

    def _replicates(self) -> Iterator[TrialPlan]:
        for number in range(self.plan.replicates):
            for study in self._studies:
                if study.best is not None and number < self.plan.repeats(study.plan):
                    yield self.plan.replicate(study.best[1], number)


def _new_study(study: VariantPlan, plan: SearchPlan) -> optuna.Study:
    """A study whose first trial is the variant's own default, where that lies in the ranges."""
    with warnings.catch_warnings():
        # multivariate, group and constant_liar are marked experimental; search.py pins their meaning.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=zlib.crc32(f"{plan.seed} {study.variant}".encode()),
            n_startup_trials=min(10, max(3, plan.trials // 3)),
            multivariate=True,
            group=True,
            constant_liar=True,
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    created = optuna.create_study(study_name=study.variant, sampler=sampler, direction="minimize")
    knobs = load_variant(study.variant).with_knobs(study.knobs).knobs()
    default = {knob: knobs[knob] for knob in study.distributions if knob in knobs}
    with contextlib.suppress(ValueError):  # the default lies outside the ranges
        optuna.trial.create_trial(params=default, distributions=dict(study.distributions), value=0.0)
        created.enqueue_trial(default)
    return created
