"""The end of a sweep: runs are examined; the report is written, shown and sent to MLflow; what to do next."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ray.tune.experiment import Trial
from rich.console import Console

from orchestrator.analysis.results import ERROR, FINAL, TrialResult
from orchestrator.common.commands import from_here, program
from orchestrator.common.statuses import Status
from orchestrator.examination.examiner import Examiner
from orchestrator.examination.findings import Findings
from orchestrator.examination.pages import PAGE
from orchestrator.reports.sweep_report import NOTE_FIGURE, Report
from orchestrator.running.delivery_view import deliver, say_what_is_left
from orchestrator.running.model_keeping import ModelKeeper
from orchestrator.search.objectives import objective_of
from orchestrator.search.rounds import SeedRounds
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.tracking.about import write_losses
from orchestrator.tracking.server.links import ui_command
from orchestrator.tracking.shown.note import note
from orchestrator.tracking.shown.trial import run_tags
from orchestrator.tracking.tracker import MlflowTracker
from orchestrator.trials.outcomes import Outcomes
from orchestrator.trials.trial_recovery import last_checkpoint


@dataclass(frozen=True)
class Ending:
    """Ends a sweep whose trials have ended, or have been interrupted."""

    examiner: Examiner
    tracker: MlflowTracker
    outcomes: Outcomes
    console: Console

    @property
    def spec(self) -> SweepSpec:
        return self.examiner.spec

    def of(self, trials: Sequence[Trial], running: Collection[str], *, complete: bool) -> int:
        """Reports on the trials.

        Args:
            running: the ids of those that were interrupted. Some may have had their last result already: they
                are trained again from their checkpoint, and are reported when they have ended.
            complete: whether all have been run.

        Returns:
            The exit status: `PARTLY` where no trial finished, one was lost, or something was not delivered.

        Raises:
            KeyboardInterrupt: the user interrupted it, before or meanwhile; the sweep can be resumed.
        """
        results = [self._result(trial, running=trial.trial_id in running) for trial in trials]
        checkpoints = {trial.trial_id: last_checkpoint(trial) for trial in trials}
        finished = any(result.final for result in results)
        if complete and finished:
            failed: set[str] = set()
            try:
                for _ in range(2):  # once more on all sentences where some were too few to decide
                    found = Findings.of(self.spec, self.examiner.corpus).into(results)
                    failed |= self.examiner.examine(self._report(found), checkpoints, self.console, failed)
            except KeyboardInterrupt:
                complete = False
        findings = Findings.of(self.spec, self.examiner.corpus)
        results = findings.into(results)
        report = self._report(results)
        paths = self._publish(report, findings) if results else []
        if complete and finished:
            with self.console.status("keeping models"):
                ModelKeeper(self.spec, self.examiner.corpus, self.tracker).keep(report, checkpoints)
        self.tracker.finish_sweep(
            status=("FINISHED" if finished else "FAILED") if complete else "KILLED",
            metrics=report.metrics() if finished else {},
            artifacts=paths,
            note=self._note(report) if results else None,
        )
        report.show(self.console)  # all files are written, and MLflow has been told
        self._next_steps(paths)
        delivery = deliver(self.tracker, self.console)
        say_what_is_left(delivery, self.spec, self.console)
        if not complete:
            raise KeyboardInterrupt
        if not finished:
            self.console.print("no trial finished: the failures are in trials.csv and in MLflow", style="red")
        lost = [result for result in results if result.failure == ERROR]
        return Status.DONE if finished and not lost and delivery.complete else Status.PARTLY

    def _result(self, trial: Trial, *, running: bool) -> TrialResult:
        """What came of a trial of Tune's; nothing final while it runs."""
        result = dict(trial.last_result or {})
        if running:
            for name in FINAL:
                result.pop(name, None)
        else:
            result |= self.outcomes.of(trial.trial_id)
        return TrialResult.from_tune(
            trial.trial_id, trial.config, result, errored=trial.status == Trial.ERROR
        )

    def _report(self, results: Sequence[TrialResult]) -> Report:
        corpus = self.examiner.corpus
        title = f"{corpus.name}: {self.spec.name}"
        spec = self.spec
        return Report.of(title, results, corpus.entropy_floor, SeedRounds.of(spec), objective_of(spec.search))

    def _publish(self, report: Report, findings: Findings) -> list[Path]:
        """Writes the report's files and says of each trial what it is; the files."""
        paths = [*report.write(self.spec.folder), *findings.publish(report, self.tracker)]
        self.tracker.tag_trials(
            {
                result.trial_id: run_tags(
                    result.plan.variant,
                    collapsed=result.collapsed,
                    on_frontier=found,
                    feasible=report.feasible.get(result.trial_id),
                )
                for result, found in report.found()
            }
        )
        return [*paths, write_losses(self.spec.folder, report.results)]

    def _note(self, report: Report) -> str:
        """What stands above the sweep's run in MLflow."""
        trial_ids = [result.trial_id for result in report.results]
        targets = self.tracker.note_targets(trial_ids, ["frontier.html", "frontier.md"], NOTE_FIGURE)
        return note(targets, report.verdicts(), report.table(links=targets.links))

    def _next_steps(self, paths: Sequence[Path]) -> None:
        self.console.print()
        for path in paths:
            if (path.suffix in (".png", ".html", ".csv") or path.name == PAGE) and path.name != NOTE_FIGURE:
                self.console.print(f"  {from_here(path)}", highlight=False, soft_wrap=True, markup=False)
        say_links(self.console, self.tracker)


def say_links(console: Console, tracker: MlflowTracker) -> None:
    """How to see the sweep in MLflow."""
    command = ui_command(tracker.tracking_uri, program("mlflow"))
    if command and tracker.link:
        console.print(f"next: {command}", highlight=False, soft_wrap=True, markup=False)
    for what, link in (("compare", tracker.comparison_link), ("runs", tracker.link)):
        if link:
            console.print(f"  {what}: {link}", highlight=False, soft_wrap=True, markup=False)
