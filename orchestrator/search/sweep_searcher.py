"""SweepSearcher: Optuna's ask and tell, in the order of a sweep, as a Ray Tune searcher.

First the baselines, after a search of their own where they have one; then the search, one study a variant, in
turns and with equal budgets; then each variant's best configuration once more on fresh seeds (`FreshSeeds`),
as soon as its own search is over. NLL is that on validation less NLL + KL of the
baseline with the same decoder: what counts is the gain, not the decoder's strength. What is asked depends on
the seed and on what has been told alone, and the whole state, samplers included, travels in the searcher's
checkpoint.
"""

from __future__ import annotations

import math
import pickle
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import TrialState
from ray.tune.experiment import Trial
from ray.tune.search import Searcher
from ray.tune.utils import flatten_dict

from orchestrator.search.fresh_seeds import FreshSeeds
from orchestrator.search.objectives import Point, rank
from orchestrator.search.pauses import Pauses
from orchestrator.search.plan import SearchPlan, Study, study_of
from orchestrator.search.prospects import Prospects
from orchestrator.search.study import Known, VariantStudy
from orchestrator.search.trial_plan import Asked, Ended, TrialPlan
from orchestrator.search.turns import Turns
from trainables.variants import BASELINE

Size = tuple[Hashable, ...]
Undecided = Callable[[Sequence[Ended]], list[TrialPlan]]
_ENDED = (Trial.TERMINATED, Trial.ERROR)
_STATE = (
    "plan", "_first", "_studies", "_fresh", "_running", "_failed", "_lost", "_baselines", "pauses",
    "shares", "_turns", "_prospects",
)  # fmt: skip


class SweepSearcher(Searcher):
    """See the module. `suggest` returns None while as many run as may, and while it waits for what must end
    before something else can begin.

    Args:
        undecided: from what has run on seeds that took no part in the search, a trial of each configuration
            that needs more seeds; None where there are no more than the planned ones.
    """

    def __init__(self, plan: SearchPlan, undecided: Undecided | None = None) -> None:
        super().__init__()
        self.plan = plan
        self._undecided = undecided
        self._fresh = FreshSeeds(plan)
        self._most: int | None = None
        self._studies = {
            study_of(each): VariantStudy(each, plan) for each in (*plan.baselines, *plan.variants)
        }
        self._turns = Turns(plan)
        self._first: deque[TrialPlan] | None = None  # known when the baselines' own searches have ended
        self._running: dict[str, Asked] = {}
        self._failed: dict[str, Asked] = {}  # by the infrastructure: Tune may run them again
        self._lost: deque[Asked] = deque()
        self._closed = False
        self.pauses = Pauses(plan.halving)
        self._prospects: dict[Study, Prospects] = {}
        self.shares: dict[Size, float] = {}  # of a GPU, where models of that size ran out of memory on less
        self._baselines: dict[str, list[float]] = {}  # NLL + KL of the language models, by decoder

    @property
    def finished(self) -> bool:
        """Whether everything has been asked for and told, or all that was asked for before it was closed."""
        if self._closed:
            return not self._running
        return self._asked_for_all and not (self._fresh.queued or self._lost or self.running)

    @property
    def _asked_for_all(self) -> bool:
        """Whether all is known that will ever be asked for."""
        return not self._rounds_left and self._fresh.repeated >= self._searches()

    @property
    def _rounds_left(self) -> bool:
        """Whether more fresh seeds may be asked for."""
        return self._undecided is not None and self._fresh.rounds_left

    def learn(self, known: Iterable[Known]) -> None:
        """What earlier sweeps have found; those of variants that this one has."""
        studies = {study.plan.variant: study for study in self._studies.values() if not study.is_baseline}
        for each in known:
            studies[each.variant].learn(each)
            self._turns.know(each.point)

    def planned(self) -> dict[str, int]:
        """Number of trials by variant, the baseline's first, as far as is known by now."""
        return self._fresh.planned(self._turns.planned(self._studies.values()))

    def close(self) -> None:
        """From now on nothing is asked for any more; a restore forgets that."""
        self._closed = True

    @property
    def running(self) -> frozenset[str]:
        """The trials that have been asked for and not told, by trial id; those that pause too."""
        return frozenset(self._running) | self.pauses.waiting.keys()

    @property
    def resting(self) -> bool:
        """Whether it was closed, and all that ran has ended."""
        return self._closed and not self._running

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Takes over from Tune's own limiter, which after a restore would hold to the earlier limit."""
        self._most = max_concurrent
        return True

    def suggest(self, trial_id: str) -> Any:
        if self._closed:
            return Searcher.FINISHED
        if self._full or self.promotable() is not None:
            return None
        asked = self._next()
        if asked is None:
            return Searcher.FINISHED if self._asked_for_all else None
        self._running[trial_id] = asked
        self._fresh.trained[asked.plan.identity] = asked.plan.variant
        return asked.plan.config()

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tells the study: a value for a full training, PRUNED for a failure that the configuration
        caused (FAIL would teach TPE nothing), FAIL for one of the infrastructure."""
        asked = self._running.pop(trial_id, None)
        if asked is None:
            return
        final = _final(result or {})
        failed = not final and (result or {}).get("failure") is None
        if failed:
            self._failed[trial_id] = asked
            self._fresh.trained.pop(asked.plan.identity, None)
        if final and asked.plan.fresh:
            self._fresh.ended.append(Ended(trial_id, asked.plan, final))
        nll, kl = (final.get(f"best/{name}", math.nan) for name in ("nll", "kl"))
        if asked.number is None:
            if asked.plan.kind == "baseline" and math.isfinite(nll + kl):
                self._baselines.setdefault(asked.plan.decoder, []).append(nll + kl)
            return
        study = self._studies[study_of(asked.plan)]
        point = self._point(asked.plan, nll, kl)
        if self.plan.stop_dominated:
            self._prospects_of(asked).ends(trial_id, Point(nll, kl))
        if point.finite:
            study.ended.append((asked.plan, nll, kl))
        study.tell(asked.number, point, TrialState.FAIL if failed else TrialState.PRUNED)
        if not failed:
            self._turns.ended(study, point)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing is learnt before a training ends."""

    def reached(self, trial_id: str, behind: int, nll: float, kl: float) -> bool:
        """A trial stands here, so many epochs behind the end of its annealing; whether it pauses."""
        asked = self._running.get(trial_id)
        if asked is None or self._closed or asked.number is None or asked.plan.variant == BASELINE:
            return False
        if not self.pauses.enter(trial_id, asked, behind, self._point(asked.plan, nll, kl)):
            return False
        del self._running[trial_id]
        return not (self.promotable() == trial_id and self.promote(trial_id))

    def is_dominated(self, trial_id: str, behind: int, nll: float, kl: float) -> bool:
        """A trial stands here, so many epochs behind the end of its annealing; whether it is to be stopped,
        as it will not come to its variant's frontier."""
        asked = self._running.get(trial_id)
        if not self.plan.stop_dominated or asked is None or asked.number is None:
            return False
        if asked.plan.variant == BASELINE or not asked.plan.searched:
            return False
        study, prospects = self._studies[study_of(asked.plan)], self._prospects_of(asked)
        prospects.stands(trial_id, behind, Point(nll, kl))
        found = [self._point(*each) for each in study.ended]
        return prospects.is_dominated(study.objective, behind, self._point(asked.plan, nll, kl), found)

    def promotable(self) -> str | None:
        """The trial that goes on from its rung next, before anything new is begun."""
        return None if self._closed else self.pauses.promotable(self._is_idle)

    def promote(self, trial_id: str) -> bool:
        """Lets it go on, if there is room."""
        if self._full:
            return False
        self._running[trial_id] = self.pauses.promote(trial_id)
        return True

    def give_up(self) -> list[str]:
        """Those that pause, once nothing more can bring them on; they are told as pruned."""
        if self._closed or self.promotable() is not None:
            return []
        ended = self.pauses.give_up(self._is_idle)
        for asked in ended.values():
            assert asked.number is not None
            study = self._studies[study_of(asked.plan)]
            study.tell(asked.number, None)
            self._turns.ended(study, None)
        return list(ended)

    def reconcile(self, trials: Iterable[Trial]) -> None:
        """Squares what has been asked for with the trials that Tune has after a restore.

        A crash can leave files of two snapshots, and Tune runs again what failed: a trial that Tune does
        not know is asked for once more, one that has ended is told, one that runs again counts again.
        """
        known = {trial.trial_id: trial for trial in trials}
        for trial_id in list(self.pauses.waiting):
            if trial_id not in known:
                self._lost.append(self.pauses.forget(trial_id))
            elif known[trial_id].status in _ENDED:
                self._running[trial_id] = self.pauses.forget(trial_id)
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
        """The earlier state under the present plan. Where that asks for more trials or variants than the one
        before, what had come to its end goes on, and nothing is trained twice."""
        state = pickle.loads(Path(checkpoint_path).read_bytes())
        plan, studies = self.plan, self._studies
        vars(self).update(state)
        self.plan, self._studies = plan, {**studies, **self._studies}
        self._turns.plan = plan
        if self._fresh.follow(plan):
            self._first = None

    def _next(self) -> Asked | None:
        """What comes next; None at the end, and while replicating has to wait for the rest."""
        if self._lost:
            return self._lost.popleft()
        if self._first is None:
            if unfinished := self._unfinished(baselines=True):
                return self._ask(unfinished[0])
            if self._running:
                return None
            self._first = deque(self._fresh.untrained(self.plan.baselines_of(self._best_baselines())))
        if self._first:
            return Asked(self._first.popleft())
        if unfinished := self._unfinished(baselines=False):
            return self._ask(unfinished[0])
        if over := self._over():
            self._fresh.repeated |= over
            self._fresh.repeat(self._worth_repeating(over), self._best_baselines())
        while self._rounds_left and not (self._fresh.queued or self.running):
            assert self._undecided is not None
            self._fresh.another_round(self._undecided(self._fresh.ended))
        return Asked(self._fresh.queued.popleft()) if self._fresh.queued else None

    @property
    def _full(self) -> bool:
        return self._most is not None and len(self._running) >= self._most

    def _searches(self) -> set[Study]:
        """Those of the variants."""
        return {key for key, study in self._studies.items() if not study.is_baseline}

    def _is_idle(self, key: Study) -> bool:
        """Whether nothing of that search runs any more, nor will be begun."""
        study = self._studies[key]
        at_work = (*self._running.values(), *self._lost)
        return not self._turns.goes_on(study, self._studies.values()) and not any(
            asked.number is not None and study_of(asked.plan) == key for asked in at_work
        )

    def _over(self) -> set[Study]:
        """The searches that have come to their end and whose best has not been seen to; none while a baseline
        still runs that this is seen by."""
        if any(self.plan.is_early(asked.plan) for asked in self._running.values()):
            return set()
        waiting = {study_of(asked.plan) for asked in self.pauses.waiting.values()}
        return {key for key in self._searches() - self._fresh.repeated - waiting if self._is_idle(key)}

    def _unfinished(self, *, baselines: bool) -> list[VariantStudy]:
        """The searches that go on, those of the baselines or those of the variants; the next first."""
        found = self._turns.in_turn(self._studies.values())
        return [study for study in found if study.is_baseline is baselines]

    def _best_baselines(self) -> dict[Study, TrialPlan]:
        """The configuration of each baseline that its search has found."""
        return {
            key: best[0]
            for key, study in self._studies.items()
            if study.is_baseline and (best := self._best(study))
        }

    def _ask(self, study: VariantStudy) -> Asked:
        trial = study.ask()
        plan = self.plan.searched_trial(study.plan, study.asked - 1, trial.params)
        return Asked(plan, trial.number)

    def _again(self, asked: Asked) -> Asked:
        """The same for another try."""
        if asked.number is None:
            return asked
        return Asked(asked.plan, self._studies[study_of(asked.plan)].again(asked.number))

    def _prospects_of(self, asked: Asked) -> Prospects:
        return self._prospects.setdefault(study_of(asked.plan), Prospects())

    def _point(self, plan: TrialPlan, nll: float, kl: float) -> Point:
        """NLL less the mean NLL + KL of the decoder's baselines that have ended, or of all baselines while
        its own have not; of a baseline's own search as it is."""
        if plan.variant == BASELINE:
            return Point(nll, kl)
        own = self._baselines.get(plan.decoder)
        known = own or [loss for losses in self._baselines.values() for loss in losses]
        return Point(nll - sum(known) / len(known) if known else nll, kl)

    def _best(self, study: VariantStudy) -> tuple[TrialPlan, Point] | None:
        """The best configuration beside its baseline, as that is known now."""
        ended = [(plan, self._point(plan, nll, kl)) for plan, nll, kl in study.ended]
        return min(ended, key=lambda each: rank(study.objective, each[1]), default=None)

    def _worth_repeating(self, over: Collection[Study]) -> list[TrialPlan]:
        """The best of each of these searches that has something to confirm."""
        best = [(study, self._best(study)) for key, study in self._studies.items() if key in over]
        return [each[0] for study, each in best if each and study.objective.is_worth_repeating(each[1])]


def _final(result: Mapping[str, Any]) -> dict[str, float]:
    """The final figures of a flat result; none where there are none yet."""
    return {key.removeprefix("final/"): found for key, found in result.items() if key.startswith("final/")}
