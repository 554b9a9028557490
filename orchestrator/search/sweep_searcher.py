"""SweepSearcher: Optuna's ask and tell, in the order of a sweep, as a Ray Tune searcher.

First the baselines, after a search of their own where they have one; then the search, one study a variant, in
turns and with equal budgets; then each variant's best configuration once more on fresh seeds, and again while
these do not decide. The objective is NLL + KL on validation, for a variant less that of the baseline with the
same decoder: what counts is the gain, not the decoder's strength. What is asked depends on the seed and on
what has been told alone, and the whole state, samplers included, travels in the searcher's checkpoint.
"""

from __future__ import annotations

import contextlib
import math
import pickle
import warnings
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.search import Searcher
from ray.tune.utils import flatten_dict

from orchestrator.search.configurations import Configuration, configuration, unseen
from orchestrator.search.plan import SearchPlan, Study, study_of
from orchestrator.search.trial_plan import Ended, TrialPlan
from orchestrator.spec.overrides import VariantPlan
from trainables.variants import BASELINE, load_variant

OBJECTIVE = "best/nll_plus_kl"
PROPOSALS = 20
"""So often the sampler may propose what has been asked for already."""
Undecided = Callable[[Sequence[Ended]], list[TrialPlan]]
_ENDED = (Trial.TERMINATED, Trial.ERROR)
_STATE = (
    "plan", "_first", "_studies", "_last", "_running", "_failed", "_lost", "_baselines",
    "_fresh_ended", "_round",
)  # fmt: skip


@dataclass
class _Study:
    """A variant's search, or a baseline's, as it stands."""

    plan: VariantPlan
    optuna: optuna.Study
    asked: int = 0
    seen: dict[Configuration, float | None] = field(default_factory=dict)
    """What has been asked for, with its value once it is known."""
    ended: list[tuple[TrialPlan, float]] = field(default_factory=list)

    @property
    def is_baseline(self) -> bool:
        return self.plan.variant == BASELINE


@dataclass(frozen=True)
class _Asked:
    """What has been asked for; a searched trial has a number in its variant's study."""

    plan: TrialPlan
    number: int | None = None


class SweepSearcher(Searcher):
    """See the module. `suggest` returns None while as many run as may, and while it waits for everything
    to end before replicating.

    Args:
        undecided: from what has run on seeds that took no part in the search, a trial of each configuration
            that needs more seeds; None where there are no more than the planned ones.
    """

    def __init__(self, plan: SearchPlan, undecided: Undecided | None = None) -> None:
        super().__init__()
        self.plan = plan
        self._undecided = undecided
        self._fresh_ended: list[Ended] = []
        self._round = 0  # of fresh seeds beyond the first
        self._most: int | None = None
        self._studies = {
            study_of(each): _Study(each, _new_study(each, plan)) for each in (*plan.baselines, *plan.variants)
        }
        self._first: deque[TrialPlan] | None = None  # known when the baselines' own searches have ended
        self._last: deque[TrialPlan] | None = None
        self._running: dict[str, _Asked] = {}
        self._failed: dict[str, _Asked] = {}  # by the infrastructure: Tune may run them again
        self._lost: deque[_Asked] = deque()
        self._baselines: dict[str, list[float]] = {}  # NLL + KL of the language models, by decoder

    @property
    def finished(self) -> bool:
        """Whether everything has been asked for and told."""
        return self._last is not None and not (self._last or self._lost or self._running or self._rounds_left)

    @property
    def _rounds_left(self) -> bool:
        """Whether more fresh seeds may be asked for."""
        return self._undecided is not None and self._round < len(self.plan.rounds.counts) - 1

    @property
    def running(self) -> frozenset[str]:
        """The trials that have been asked for and not told, by trial id."""
        return frozenset(self._running)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Takes over from Tune's own limiter, which after a restore would hold to the earlier limit."""
        self._most = max_concurrent
        return True

    def suggest(self, trial_id: str) -> Any:
        if self._most is not None and len(self._running) >= self._most:
            return None
        asked = self._next()
        if asked is None:
            return Searcher.FINISHED if self._last is not None and not self._rounds_left else None
        self._running[trial_id] = asked
        return asked.plan.config()

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tells the study: a value for a full training, PRUNED for a failure that the configuration
        caused (FAIL would teach TPE nothing), FAIL for one of the infrastructure."""
        asked = self._running.pop(trial_id, None)
        if asked is None:
            return
        value = (result or {}).get(f"final/{OBJECTIVE}")
        failed = value is None and (result or {}).get("failure") is None
        if failed:
            self._failed[trial_id] = asked
        if value is not None and asked.plan.fresh:
            self._fresh_ended.append(_ended(trial_id, asked.plan, result or {}))
        if asked.number is None:
            if asked.plan.kind == "baseline" and value is not None and math.isfinite(value):
                self._baselines.setdefault(_decoder(asked.plan), []).append(value)
            return
        study = self._studies[study_of(asked.plan)]
        if failed:
            study.optuna.tell(asked.number, state=TrialState.FAIL)
        elif value is None or not math.isfinite(value):
            study.optuna.tell(asked.number, state=TrialState.PRUNED)
        else:
            study.ended.append((asked.plan, value))
            above = self._above_baseline(asked.plan, value)
            study.optuna.tell(asked.number, above)
            study.seen[configuration(study.optuna.trials[asked.number].params)] = above

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing is learnt before a training ends."""

    def reconcile(self, trials: Iterable[Trial]) -> None:
        """Squares what has been asked for with the trials that Tune has after a restore.

        A crash can leave files of two snapshots, and Tune runs again what failed: a trial that Tune does
        not know is asked for once more, one that has ended is told, one that runs again counts again.
        """
        known = {trial.trial_id: trial for trial in trials}
        for trial_id in list(self._running):
            trial = known.get(trial_id)
            if trial is None:
                self._lost.append(self._running.pop(trial_id))
            elif trial.status in _ENDED:
                self.on_trial_complete(trial_id, flatten_dict(trial.last_result), trial.status == Trial.ERROR)
        for trial_id in list(self._failed):
            if trial_id in known and known[trial_id].status not in _ENDED:
                self._running[trial_id] = self._again(self._failed.pop(trial_id))

    def save(self, checkpoint_path: str) -> None:
        """Writes in one go: Tune gives a temporary name and renames. One more file there for a moment would
        be one more that its copying of the folder can miss."""
        Path(checkpoint_path).write_bytes(pickle.dumps({name: getattr(self, name) for name in _STATE}))

    def restore(self, checkpoint_path: str) -> None:
        vars(self).update(pickle.loads(Path(checkpoint_path).read_bytes()))

    def _next(self) -> _Asked | None:
        """What comes next; None at the end, and while replicating has to wait for the rest."""
        if self._lost:
            return self._lost.popleft()
        if self._first is None:
            if unfinished := self._unfinished(baselines=True):
                return self._ask(unfinished[0])
            if self._running:
                return None
            self._first = deque(self.plan.baselines_of(self._best_baselines()))
        if self._first:
            return _Asked(self._first.popleft())
        if unfinished := self._unfinished(baselines=False):
            return self._ask(unfinished[0])
        if self._last is None and not self._running:
            self._last = deque(self._replicates())
        while self._rounds_left and not (self._last or self._running):
            self._last = deque(self._more_seeds())
        return _Asked(self._last.popleft()) if self._last else None

    def _unfinished(self, *, baselines: bool) -> list[_Study]:
        """The searches that go on, those of the baselines or those of the variants; the one with the fewest
        trials first."""
        found = [
            study
            for study in self._studies.values()
            if study.is_baseline is baselines and study.asked < self.plan.trials_of(study.plan)
        ]
        return sorted(found, key=lambda study: study.asked)

    def _best_baselines(self) -> dict[Study, TrialPlan]:
        """The configuration of each baseline that its search has found."""
        best = {key: self._best(study) for key, study in self._studies.items() if study.is_baseline}
        return {key: plan for key, plan in best.items() if plan is not None}

    def _ask(self, study: _Study) -> _Asked:
        trial = self._fresh(study)
        plan = self.plan.searched_trial(study.plan, study.asked, trial.params)
        study.asked += 1
        return _Asked(plan, trial.number)

    def _fresh(self, study: _Study) -> optuna.Trial:
        """A configuration that has not been asked for. One that the sampler proposes once more is told what
        is known of it; where it proposes nothing else, the first of the others is taken."""
        distributions = dict(study.plan.distributions)
        for attempt in range(PROPOSALS + 1):
            if attempt == PROPOSALS and (other := unseen(distributions, study.seen)) is not None:
                study.optuna.enqueue_trial(dict(other))
            trial = study.optuna.ask(distributions)
            found = configuration(trial.params)
            if not distributions or found not in study.seen:
                break
            value = study.seen[found]
            study.optuna.tell(trial, value, state=None if value is not None else TrialState.FAIL)
        study.seen.setdefault(found, None)
        return trial

    def _again(self, asked: _Asked) -> _Asked:
        """The same for another try: a trial that was told FAIL cannot be told anything else."""
        if asked.number is None:
            return asked
        study = self._studies[study_of(asked.plan)].optuna
        failed = study.trials[asked.number]
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.RUNNING, params=failed.params, distributions=failed.distributions
            )
        )
        return _Asked(asked.plan, len(study.trials) - 1)

    def _above_baseline(self, plan: TrialPlan, value: float) -> float:
        """How far the value lies above the mean of the decoder's baselines that have ended, or of all
        baselines while its own have not; of a baseline's own search the value itself."""
        if plan.variant == BASELINE:
            return value
        own = self._baselines.get(_decoder(plan))
        known = own or [loss for losses in self._baselines.values() for loss in losses]
        return value - sum(known) / len(known) if known else value

    def _best(self, study: _Study) -> TrialPlan | None:
        """The configuration with the largest gain over its baseline, as that is known now."""
        ended = [(self._above_baseline(plan, value), plan) for plan, value in study.ended]
        return min(ended, key=lambda pair: pair[0])[1] if ended else None

    def _replicates(self) -> Iterator[TrialPlan]:
        studies = [study for study in self._studies.values() if not study.is_baseline]
        best = [(self._best(study), self.plan.repeats(study.plan)) for study in studies]
        for number in range(self.plan.rounds.first):
            for plan, repeats in best:
                if plan is not None and number < repeats:
                    yield self.plan.replicate(plan, number)

    def _more_seeds(self) -> list[TrialPlan]:
        """The next round: fresh seeds for each configuration that is not decided; the last round if for
        none."""
        assert self._undecided is not None
        counts = self.plan.rounds.counts
        numbers = range(counts[self._round], counts[self._round + 1])
        undecided = self._undecided(self._fresh_ended)
        self._round = self._round + 1 if undecided else len(counts)
        return [self.plan.replicate(plan, number) for number in numbers for plan in undecided]


class ReconcileCallback(tune.Callback):
    """Lets the searcher reconcile itself with Tune's trials, once, before anything else happens."""

    def __init__(self, searcher: SweepSearcher) -> None:
        self._searcher: SweepSearcher | None = searcher

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if self._searcher is not None:
            self._searcher.reconcile(trials)
            self._searcher = None


def _ended(trial_id: str, plan: TrialPlan, result: Mapping[str, Any]) -> Ended:
    final = {key.removeprefix("final/"): found for key, found in result.items() if key.startswith("final/")}
    return Ended(trial_id, plan, final, result.get("losses_N"))


def _decoder(plan: TrialPlan) -> str:
    return plan.build().decoder_label


def _new_study(study: VariantPlan, plan: SearchPlan) -> optuna.Study:
    """A study whose first trial is the variant's own default, where that lies in the ranges."""
    with warnings.catch_warnings():
        # multivariate, group and constant_liar are marked experimental; search.py pins their meaning.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=zlib.crc32(f"{plan.seed} {' '.join(study_of(study)).strip()}".encode()),
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
