"""After the search the runs that matter are examined: their final checkpoints are loaded once more for a
tighter bound, for what the model says, and for what its latent knows.

What is found is kept in the sweep's folder run by run, so that a resume does the rest alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import ray
from ray.exceptions import RayTaskError
from rich.console import Console

from orchestrator.analysis.iw_gain import short_of_sentences
from orchestrator.analysis.speakers import speakers
from orchestrator.examination.examined import Examined, keep, kept
from orchestrator.examination.view import ExaminationView
from orchestrator.reports.sweep_report import Report
from orchestrator.search.trial_plan import TrialPlan
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.checkpoints import Checkpoint, examine_checkpoint
from trainables.evaluation.examination import Examination, Request
from trainables.text.splits import Corpus


@dataclass(frozen=True)
class _Subject:
    """A run to be examined."""

    trial_id: str
    plan: TrialPlan
    checkpoint: Checkpoint | None
    request: Request


@dataclass(frozen=True)
class Examiner:
    """Examines runs in Ray tasks, each of which reserves what a trial does, `concurrency` at a time."""

    spec: SweepSpec
    corpus: Corpus
    concurrency: int

    def examine(
        self,
        report: Report,
        checkpoints: Mapping[str, Checkpoint | None],
        console: Console,
        without: Collection[str] = (),
    ) -> set[str]:
        """Examines what has not been examined yet, on the whole of test where the report says that this would
        decide something. A run that fails is named, and stays as it was.

        Args:
            checkpoints: by trial id.
            without: the ids of trials that have failed at it.

        Returns:
            The ids of those that failed.

        Raises:
            KeyboardInterrupt: the user interrupted it; what has been found is kept.
        """
        subjects = [
            subject for subject in self._subjects(report, checkpoints) if subject.trial_id not in without
        ]
        failed: set[str] = set()
        if not subjects:
            return failed
        with ExaminationView(console, len(subjects)) as view:
            for subject, task in self._tasks(subjects):
                try:
                    examined = Examined.of(subject.trial_id, ray.get(task))
                    keep(self.spec.folder, examined)
                except Exception as error:  # an examination never costs the report
                    failed.add(subject.trial_id)
                    view.failed(subject.plan, _reason(error))
                else:
                    view.done(subject.plan, examined)
        return failed

    def _subjects(self, report: Report, checkpoints: Mapping[str, Checkpoint | None]) -> list[_Subject]:
        known = kept(self.spec, self.corpus)
        plans = {result.trial_id: result.plan for result in report.results}
        whole = short_of_sentences(report.configurations, report.runs)
        return [
            _Subject(
                trial_id,
                plans[trial_id],
                checkpoints.get(trial_id),
                self._request(texts=speaks, whole=trial_id in whole),
            )
            for trial_id, speaks in speakers(report.configurations, report.runs).items()
            if (found := known.get(trial_id)) is None
            or (speaks and found.texts is None)
            or (trial_id in whole and not found.whole)
        ]

    def _request(self, *, texts: bool, whole: bool) -> Request:
        resources = self.spec.resources
        return Request(
            iw_samples=self.spec.final_iw_samples,
            iw_sentences=None if whole else self.spec.final_iw_sentences,
            texts=texts,
            iw_tolerance=self.spec.final_iw_tolerance,
            device="cuda" if resources.share else "cpu",
            threads=max(1, int(resources.cpus)),
        )

    def _tasks(self, subjects: list[_Subject]) -> Iterator[tuple[_Subject, ray.ObjectRef[Examination]]]:
        """Each subject with its task, in the order in which they end; Ray retries one whose worker died."""
        resources = self.spec.resources
        examine = ray.remote(num_cpus=resources.cpus, num_gpus=resources.share, resources=resources.kind)(
            examine_checkpoint
        )
        corpus, waiting = ray.put(self.corpus), deque(subjects)
        running: dict[ray.ObjectRef[Examination], _Subject] = {}

        def fill() -> None:
            while waiting and len(running) < self.concurrency:
                subject = waiting.popleft()
                config = subject.plan.config()
                task = examine.remote(subject.checkpoint, config, corpus, subject.request)
                running[task] = subject

        fill()
        while running:
            (ready,), _ = ray.wait(list(running))
            subject = running.pop(ready)
            fill()  # before the caller takes its time over this one
            yield subject, ready


def _reason(error: Exception) -> str:
    """An error in a line; of one that a worker raised, without the worker's traceback."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    return (str(cause).splitlines() or [type(cause).__name__])[0]
