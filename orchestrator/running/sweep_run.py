"""A sweep's life, from what is announced to the last word."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from ray.exceptions import RayError
from ray.tune.experiment import Trial
from rich.console import Console

from orchestrator.budget.keeper import BudgetKeeper
from orchestrator.budget.time_left import TimeLeft
from orchestrator.cluster.gpu_share import settled
from orchestrator.cluster.ray_session import RayGoneError, cluster_resources, ray_running
from orchestrator.cluster.shared_folder import check_shared
from orchestrator.cluster.slots import Slots
from orchestrator.common.interrupts import interrupts_heard
from orchestrator.common.problems import reason
from orchestrator.common.statuses import Status
from orchestrator.common.wording import plural
from orchestrator.examination.examiner import Examiner
from orchestrator.recorded.earlier_lengths import EarlierLengths
from orchestrator.recorded.earlier_trials import earlier_trials
from orchestrator.running.delivery_view import say_what_is_left
from orchestrator.running.ending import Ending, say_links
from orchestrator.running.folder import keep_settled
from orchestrator.running.progress import ProgressCallback, SweepProgress
from orchestrator.running.seed_rounds import undecided
from orchestrator.running.storage_guard import StorageGuard
from orchestrator.search.objectives import objective_of
from orchestrator.search.plan import SearchPlan
from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sweep_spec import SPEC_FILE, SweepSpec
from orchestrator.tracking.about import corpus_input, sweep_params, write_about
from orchestrator.tracking.callback import TrackingCallback
from orchestrator.tracking.tracker import MlflowTracker
from orchestrator.trials.outcomes import Outcomes
from orchestrator.trials.tune_trials import run_trials
from trainables.text.splits import Corpus

FAREWELL_S = 5.0
_FULL = (errno.ENOSPC, errno.EDQUOT)


class SweepStoppedError(RuntimeError):
    """The sweep was stopped, though nobody asked for it; it can be resumed."""


class SweepRun:
    """One sweep in this process. `run` is its life; the methods below it are its stations, in their order."""

    def __init__(self, spec: SweepSpec, corpus: Corpus) -> None:
        self.spec, self.corpus = spec, corpus
        self.plan = SearchPlan.of(spec, corpus.longest)
        self.outcomes = Outcomes(spec.checkpoint_folder)
        self.searcher = SweepSearcher(self.plan, partial(undecided, self.plan.rounds, self.outcomes.losses_N))
        self.console = Console()
        self.problem: str | None = None
        """What stopped it."""

    def run(self, *, resume: bool) -> int:
        """Runs or resumes the sweep and reports.

        Returns:
            The exit status, see `Status`.

        Raises:
            KeyboardInterrupt: the user interrupted it; the sweep can be resumed.
            SweepStoppedError: its disk is full.
            RayGoneError: Ray does not answer any more.
            SpecError: MLflow has another sweep of this name, or lacks one that is to be learnt from; no node
                of the cluster can hold a trial, or one does not reach the checkpoints.
        """
        self._announce()
        if not resume:
            self._learn()
        with interrupts_heard(), ray_running(self.console):
            self._settle()
            self.slots = Slots(self.spec, self._note)
            if self.slots.capacity.grows:
                check_shared(self.spec)
            for caution in self.slots.notes():
                self._note(caution)
            with self._tracked(), self._stopped_when_full():
                self._open_mlflow()
                trials = self._train(resume)
                return self._end(trials)

    def _announce(self) -> None:
        spec, corpus, planned = self.spec, self.corpus, self.plan.planned()
        self.console.print(
            f"sweep {spec.name}: {plural(sum(planned.values()), 'trial')} of {spec.epochs} "
            f"({', '.join(f'{variant} {count}' for variant, count in planned.items())})",
            highlight=False,
        )
        floor = corpus.entropy_floor
        known = f", entropy floor {floor:.2f} nats per sentence" if floor is not None else ""
        self.console.print(
            f"corpus {corpus.name}: {len(corpus.train):,} / {len(corpus.valid):,} / {len(corpus.test):,} "
            f"sentences, {len(corpus.vocabulary):,} words{known}",
            highlight=False,
        )
        for caution in (*corpus.notes, *self.plan.cautions()):
            self._note(caution)

    def _learn(self) -> None:
        """Begins the search with what earlier sweeps know."""
        for earlier in earlier_trials(self.spec, self.plan, self.corpus.digest):
            self.searcher.learn(earlier.known)
            self._note(earlier.note)

    def _settle(self) -> None:
        """Finds out what the spec leaves to what there is."""
        largest = [plan.build() for plan in self.plan.largest()]
        spec = settled(self.spec, largest, self.corpus, self._note)
        if spec != self.spec:
            self.spec = spec
            keep_settled(spec)

    def _note(self, caution: str) -> None:
        self.console.print(f"note: {caution}", style="yellow", markup=False, highlight=False)

    @contextlib.contextmanager
    def _tracked(self) -> Iterator[None]:
        """The tracker is there in this block; whatever ends the block, the record does not look as if the
        sweep still ran."""
        self.tracker = MlflowTracker(self.spec.tracking_uri, self.spec.name, self.spec.folder)
        try:
            yield
        except BaseException as problem:
            if not self.tracker.ended:
                interrupted = isinstance(problem, KeyboardInterrupt | SweepStoppedError)
                self.tracker.finish_sweep(status="KILLED" if interrupted else "FAILED")
            if not self.tracker.closed and not self.tracker.refused:
                say_what_is_left(self.tracker.close(FAREWELL_S), self.spec, self.console)
            raise

    @contextlib.contextmanager
    def _stopped_when_full(self) -> Iterator[None]:
        """What could not be written to a full disk stops the sweep, wherever it was."""
        try:
            yield
        except OSError as problem:
            if problem.errno not in _FULL:
                raise
            if self.problem is None:
                self._say_stopped(f"storage is full: {self.spec.folder}")
            raise SweepStoppedError(str(self.problem)) from None

    def _say_stopped(self, problem: str) -> None:
        self.problem = problem
        self.console.print(f"stopped: {problem}", style="red", markup=False, soft_wrap=True)

    def _open_mlflow(self) -> None:
        """Begins the sweep's record, and says where it can be followed."""
        folder = self.spec.folder
        with self.console.status("opening MLflow"):
            problem = self.tracker.start_sweep(
                params=sweep_params(self.spec, self.corpus),
                files=[folder / SPEC_FILE, *write_about(folder, self.plan, cluster_resources())],
                text=corpus_input(self.corpus),
                spaces={variant.variant: variant.distributions for variant in self.plan.variants},
                trials=sum(self.plan.planned().values()),
            )
        if self.tracker.refused:
            raise SpecError(str(problem))
        if problem is not None:
            text = f"warning: MLflow does not answer, the sweep goes on: {problem}"
            self.console.print(text, style="yellow", markup=False)
        say_links(self.console, self.tracker)

    def _train(self, resume: bool) -> list[Trial]:
        """All trials; says so if something stopped them."""
        free = self.spec.epochs.limit is not None
        left = TimeLeft(
            self.spec.epochs.planned,
            self.spec.epochs.most,
            self.plan.planned(),
            self.plan.typical(),
            self.slots.fit,
            EarlierLengths.of(self.spec, self.plan, self.corpus).epochs if free else {},
            {each.variant: self.plan.repeats(each) for each in self.plan.variants},
            objective_of(self.spec.search),
        )
        progress = SweepProgress(self.spec.name, left)

        def changed(fit: int, asked: int) -> None:
            progress.time_left = replace(progress.time_left, slots=fit)
            self.searcher.set_max_concurrency(asked)

        self.slots.changed = changed
        keeper = BudgetKeeper(self.spec, self.searcher, self._note)
        view = ProgressCallback(progress, self.console, self.searcher.planned)
        with StorageGuard(self.spec.folder) as guard, view as shown:
            try:
                trials = run_trials(
                    self.spec,
                    self.corpus,
                    self.searcher,
                    self.outcomes,
                    guard,
                    [shown, TrackingCallback(self.tracker), self.slots, keeper],
                    slots=self.slots,
                    resume=resume,
                )
            except (RayError, ConnectionError) as problem:
                raise RayGoneError(reason(problem)) from problem
        if guard.problem is not None:
            self._say_stopped(guard.problem)
        elif keeper.interrupted:
            self._say_stopped(f"{keeper.ended}; a resume needs more")
        return trials

    def _end(self, trials: list[Trial]) -> int:
        """Examination, report, models, delivery; the exit status."""
        if not (self.spec.folder / SPEC_FILE).is_file():  # the folder itself Tune may have made again
            self.tracker.finish_sweep(status="KILLED")
            self.tracker.close(FAREWELL_S)
            return Status.GONE
        examiner = Examiner(self.spec, self.corpus, self.slots.asked)
        ending = Ending(examiner, self.tracker, self.outcomes, self.console)
        try:
            return ending.of(trials, self.searcher.running, complete=self.searcher.finished)
        except KeyboardInterrupt:
            if self.problem is None:
                raise
            raise SweepStoppedError(self.problem) from None
