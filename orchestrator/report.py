"""The report of a sweep: its trials' results as frontier table, figures and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console

from orchestrator.figures import frontier_html, frontier_png
from orchestrator.frontier import area_gained, configurations, default_reference, hypervolume
from orchestrator.iw_gain import with_iw_gain
from orchestrator.results import ERROR, TrialResult, iw_losses_by_trial, losses_by_trial, runs_frame
from orchestrator.tables import frontier_markdown, frontier_table, verdicts, write_csv


@dataclass(frozen=True)
class Report:
    """What a sweep found: the trials that have ended, in `runs` a row each; `configurations` has a row for
    each configuration, see `frontier.configurations`."""

    title: str
    results: Sequence[TrialResult]
    runs: pd.DataFrame
    configurations: pd.DataFrame
    entropy_floor: float | None

    @classmethod
    def of(cls, title: str, results: Sequence[TrialResult], entropy_floor: float | None) -> Report:
        """The report of the trials that have ended; what the machines failed says nothing of a variant."""
        ended = [result for result in results if result.ended]
        compared = runs_frame(result for result in ended if result.failure != ERROR)
        table = configurations(compared, losses_by_trial(ended), entropy_floor=entropy_floor)
        table = with_iw_gain(table, compared, iw_losses_by_trial(ended))
        return cls(title, ended, runs_frame(ended), table, entropy_floor)

    def write(self, folder: Path) -> list[Path]:
        """Writes frontier.png, .html, .csv, .md and trials.csv into the sweep's folder."""
        paths = [folder / f"frontier.{kind}" for kind in ("png", "html", "csv", "md")]
        png, html, csv, markdown = paths
        trials = folder / "trials.csv"
        for draw, path in ((frontier_png, png), (frontier_html, html)):
            draw(
                self.configurations,
                self.runs,
                title=self.title,
                entropy_floor=self.entropy_floor,
                path=path,
            )
        write_csv(self.configurations, csv)
        markdown.write_text(self.markdown(), encoding="utf-8")
        write_csv(self.runs, trials)
        return [*paths, trials]

    def show(self, console: Console) -> None:
        """The frontier table and a verdict on each variant."""
        console.print()
        console.print(frontier_table(self.configurations, entropy_floor=self.entropy_floor))
        console.print()
        for verdict in verdicts(self.configurations):
            console.print(f"• {verdict}", markup=False, highlight=False)

    def markdown(self) -> str:
        """Table and verdicts."""
        sentences = "\n".join(f"- {verdict}" for verdict in verdicts(self.configurations))
        table = frontier_markdown(self.configurations, entropy_floor=self.entropy_floor)
        return f"{table}\n{sentences}\n"

    def metrics(self) -> dict[str, float]:
        """Figures of the sweep as a whole: hypervolume with its reference, area gained, trials."""
        reference_kl, reference_nll = default_reference(self.configurations)
        return {
            "hypervolume": hypervolume(self.configurations, (reference_kl, reference_nll)),
            "hypervolume_reference_kl": reference_kl,
            "hypervolume_reference_nll": reference_nll,
            "area_gained": area_gained(self.configurations),
            "trials": float(len(self.results)),
        }

    def tags(self) -> Mapping[str, Mapping[str, str]]:
        """For each trial whether it has collapsed and whether its configuration is on the frontier."""
        best = self.configurations[self.configurations["on_frontier"]]
        on_frontier = {(row.variant, row.decoder, row.knobs) for row in best.itertuples()}
        tags: dict[str, Mapping[str, str]] = {}
        for result, run in zip(self.results, self.runs.itertuples(), strict=True):
            if result.final:
                found = (run.variant, run.decoder, run.knobs) in on_frontier
                tags[result.trial_id] = {
                    "collapsed": str(result.collapsed).lower(),
                    "frontier": str(found).lower(),
                }
        return tags
