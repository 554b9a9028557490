"""What the examinations of a sweep found, put to use: in its results, in MLflow, on a page of texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.analysis.results import TrialResult
from orchestrator.analysis.speakers import speakers
from orchestrator.examination.examined import Examined, kept
from orchestrator.examination.pages import Page, write_page, write_tables
from orchestrator.reports.sweep_report import Report
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.tracking.tracker import MlflowTracker
from trainables.text.splits import Corpus


@dataclass(frozen=True)
class Findings:
    """By trial id; those that were found before an interruption as well."""

    spec: SweepSpec
    found: Mapping[str, Examined]

    @classmethod
    def of(cls, spec: SweepSpec, corpus: Corpus) -> Findings:
        """What is kept in the sweep's folder."""
        return cls(spec, kept(spec, corpus))

    def into(self, results: Iterable[TrialResult]) -> list[TrialResult]:
        """The results with the figures of the examinations in the place of the trials' own."""
        return [self._into(result) for result in results]

    def publish(self, report: Report, tracker: MlflowTracker) -> list[Path]:
        """Logs figures and tables, a step behind the last epoch, those of more sentences than asked for one
        step later, and writes the page of texts; its path."""
        pages = [
            Page(result.plan, result.final, self.found[trial_id])
            for trial_id, speaks in speakers(report.configurations, report.runs).items()
            for result in report.results
            if speaks and result.trial_id == trial_id and trial_id in self.found
        ]
        for trial_id, examined in self.found.items():
            more = len(examined.iw_nll_N) > (self.spec.final_iw_sentences or examined.test_sentences)
            tracker.log_metrics(trial_id, examined.final(), self.spec.epochs.most + 1 + more)
        for page in pages:
            tracker.log_tables(page.examined.trial_id, write_tables(self.spec.folder, page.examined))
        return [write_page(self.spec.folder, self.spec.name, pages)] if pages else []

    def _into(self, result: TrialResult) -> TrialResult:
        examined = self.found.get(result.trial_id)
        if examined is None or not result.final:
            return result
        final = {**result.final, **examined.final()}
        return replace(result, final=final, iw_losses_N=examined.losses_N)
