"""The reports of stored sweeps, one or several, with what they are compared by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.analysis.results import UNJUDGED, losses_by_trial
from orchestrator.analysis.sweeps.comparison import ComparedSweep, Comparison
from orchestrator.analysis.sweeps.importance import Importance, importances
from orchestrator.analysis.sweeps.stored_sweep import StoredSweep
from orchestrator.reports.sweep_report import Report


@dataclass(frozen=True)
class StoredReport:
    """A sweep's own report, drawn again, and the importance of its knobs."""

    sweep: StoredSweep
    report: Report
    importances: Sequence[Importance]

    @classmethod
    def of(cls, sweep: StoredSweep) -> StoredReport:
        """The same figures as the sweep's own."""
        report = Report.of(sweep.title, sweep.results, sweep.entropy_floor, sweep.rounds, sweep.objective)
        return cls(sweep, report, importances(sweep.results, sweep.distributions))

    @property
    def compared(self) -> ComparedSweep:
        """What a comparison needs of it."""
        report = self.report
        runs = report.runs if report.runs.empty else report.runs[~report.runs["failure"].isin(UNJUDGED)]
        return ComparedSweep(
            self.sweep.name,
            self.sweep.corpus_digest,
            report.configurations,
            runs,
            losses_by_trial(report.results),
            self.sweep.entropy_floor,
        )


@dataclass(frozen=True)
class StoredReports:
    """Reports in the order in which they were asked for; `comparison` is None for a single one."""

    reports: Sequence[StoredReport]
    comparison: Comparison | None

    @classmethod
    def of(cls, sweeps: Sequence[StoredSweep]) -> StoredReports:
        """The reports of sweeps with different names, compared if there are several."""
        reports = tuple(StoredReport.of(sweep) for sweep in sweeps)
        several = len(reports) > 1
        return cls(reports, Comparison.of([report.compared for report in reports]) if several else None)

    @property
    def title(self) -> str:
        """One line over everything: a sweep's own, or all names."""
        if self.comparison is None:
            return self.reports[0].report.title
        return " · ".join(report.sweep.name for report in self.reports)
