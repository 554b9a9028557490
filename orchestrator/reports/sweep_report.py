"""The report of a sweep: its trials' results as frontier table, figures and verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from rich.console import Console

from orchestrator.analysis.equal_compute import (
    COLUMNS,
    SECONDS,
    TOKENS,
    baseline_budget,
    equal_compute,
    exceeds,
)
from orchestrator.analysis.feasibility import feasible, stopped, without_any
from orchestrator.analysis.frontier import (
    area_gained,
    best_by_gain,
    configurations,
    default_reference,
    hypervolume,
)
from orchestrator.analysis.iw_gain import with_iw_gain
from orchestrator.analysis.results import (
    UNJUDGED,
    TrialResult,
    histories_by_trial,
    iw_losses_by_trial,
    losses_by_trial,
    runs_frame,
)
from orchestrator.analysis.seed_cost import seed_cost
from orchestrator.reports.figures.curve_view import CostView, Curve, cost_view, training_curves
from orchestrator.reports.figures.curves_html import sections
from orchestrator.reports.figures.curves_png import cost_png, curves_png
from orchestrator.reports.figures.frontier_html import frontier_figure
from orchestrator.reports.figures.frontier_png import frontier_png
from orchestrator.reports.figures.page import Section, write_page
from orchestrator.reports.tables.equal_compute import equal_compute_markdown, equal_compute_table
from orchestrator.reports.tables.frontier import frontier_markdown, frontier_table, write_csv
from orchestrator.reports.tables.gain_over_cost import TITLE, ahead_at_budgets
from orchestrator.reports.tables.plain import print_table
from orchestrator.reports.tables.tuning import tuning
from orchestrator.reports.tables.verdicts import verdicts
from orchestrator.search.objectives import Objective
from orchestrator.search.rounds import SeedRounds

NOTE_FIGURE, NOTE_DPI = "frontier_note.png", 85
"""The small picture for MLflow's note: its interface shows it as wide as it is, some 800 pixels."""


@dataclass(frozen=True)
class Report:
    """What a sweep found.

    Attributes:
        results: the trials that have ended; in `runs` a row each.
        configurations: a row for each configuration, see `frontier.configurations`.
        at_tokens: a row for each configuration at the budget of a baseline's tokens, see `equal_compute`.
        at_seconds: the same at a baseline's seconds.
        over_budgets: a sentence on each variant: at which budgets it is ahead of its baseline.
        curves: the trainings of the baselines and of each variant's best configuration.
        feasible: of each trial whether it keeps the search's constraints, where it had any.
        about_search: a sentence on each searched variant of which trials were stopped, or none keeps them,
            and on what the fresh seeds cost.
    """

    title: str
    results: Sequence[TrialResult]
    runs: pd.DataFrame
    configurations: pd.DataFrame
    at_tokens: pd.DataFrame
    at_seconds: pd.DataFrame
    over_budgets: Sequence[str]
    curves: Sequence[Curve]
    entropy_floor: float | None
    feasible: Mapping[str, bool] = field(default_factory=dict)
    about_search: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        title: str,
        results: Sequence[TrialResult],
        entropy_floor: float | None,
        rounds: SeedRounds | None = None,
        objective: Objective | None = None,
    ) -> Report:
        """The report of the trials that have ended; what the machines failed, and what was stopped, says
        nothing of a variant."""
        ended = [result for result in results if result.ended]
        runs = runs_frame(result for result in ended if result.failure not in UNJUDGED)
        histories = histories_by_trial(ended)
        losses = losses_by_trial(ended)
        table = configurations(runs, losses, entropy_floor=entropy_floor, rounds=rounds)
        table = with_iw_gain(table, runs, iw_losses_by_trial(ended))
        at_tokens, at_seconds = (
            equal_compute(runs, histories, baseline_budget(runs, cost)) for cost in (TOKENS, SECONDS)
        )
        curves = training_curves(table, runs, histories)
        ahead = ahead_at_budgets(table, runs, histories)
        kept = feasible(ended, objective)
        search = [*stopped(ended), *without_any(ended, objective), *seed_cost(ended, rounds)]
        frame = runs_frame(ended)
        return cls(
            title, ended, frame, table, at_tokens, at_seconds, ahead, curves, entropy_floor, kept, search
        )

    @property
    def over_cost(self) -> CostView:
        """The curves over tokens."""
        return cost_view(self.curves, self.at_tokens)

    def write(self, folder: Path) -> list[Path]:
        """Writes figures and tables into the sweep's folder; docs/spec.md says what is in them."""
        names = ("frontier.png", "frontier.html", "frontier.csv", "frontier.md", "curves.png",
                 "equal_compute.png", "equal_compute.csv", "trials.csv", NOTE_FIGURE)  # fmt: skip
        png, html, csv, markdown, curves, cost, equal, trials, small = paths = [
            folder / name for name in names
        ]
        title, floor = self.title, self.entropy_floor
        for path, dpi in ((png, None), (small, NOTE_DPI)):
            frontier_png(self.configurations, self.runs, title=title, entropy_floor=floor, path=path, dpi=dpi)
        write_page(self.page_sections(), title=title, path=html)
        write_csv(self.configurations, csv)
        markdown.write_text(self.markdown(), encoding="utf-8")
        curves_png(self.curves, title=title, path=curves)
        cost_png(self.over_cost, title=title, path=cost)
        write_csv(pd.concat([self.at_tokens, self.at_seconds])[list(COLUMNS)], equal)
        write_csv(self.runs, trials)
        return paths

    def show(self, console: Console, *, all_rows: bool = False) -> None:
        """The frontier table, `all_rows` of it or those that matter, and a verdict on each variant; the table
        at equal compute where it differs."""
        console.print()
        table = frontier_table(self.configurations, entropy_floor=self.entropy_floor, all_rows=all_rows)
        print_table(console, table)
        console.print()
        for verdict in self.verdicts():
            console.print(f"• {verdict}", markup=False, highlight=False)
        if exceeds(self.at_tokens):
            console.print()
            print_table(console, equal_compute_table(self.at_tokens))
        if self.over_budgets:
            console.print(f"\n{TITLE}, by the lowest NLL + KL on validation:", highlight=False)
        for sentence in self.over_budgets:
            console.print(f"• {sentence}", markup=False, highlight=False)

    def page_sections(self) -> list[Section]:
        """The figures of the page: the frontier, then the trainings."""
        floor = self.entropy_floor
        figure = frontier_figure(self.configurations, self.runs, title=self.title, entropy_floor=floor)
        return [Section("frontier", figure), *sections(self.curves, self.over_cost)]

    def verdicts(self) -> list[str]:
        """A sentence on each variant, on those without a feasible trial, on what the fresh seeds cost, on how
        baselines were tuned."""
        return [
            *verdicts(self.configurations),
            *self.about_search,
            *tuning(result.plan for result in self.results),
        ]

    def table(self, *, all_rows: bool = False, links: Mapping[str, str] | None = None) -> str:
        """The frontier table as Markdown.

        Args:
            links: where a configuration's name leads, by the id of its speaking trial.
        """
        floor = self.entropy_floor
        return frontier_markdown(self.configurations, entropy_floor=floor, all_rows=all_rows, links=links)

    def markdown(self, *, all_rows: bool = False) -> str:
        """Table and verdicts, then the table at equal compute, and who is ahead at which budget."""
        sentences = "\n".join(f"- {verdict}" for verdict in self.verdicts())
        text = f"{self.table(all_rows=all_rows)}\n{sentences}\n\n{equal_compute_markdown(self.at_tokens)}"
        if self.over_budgets:
            text += f"\n## {TITLE}\n\n" + "".join(f"- {sentence}\n" for sentence in self.over_budgets)
        return text

    def metrics(self) -> dict[str, float]:
        """Figures of the sweep as a whole: hypervolume with its reference, area gained, trials, the best
        configuration's gain over its baseline; then that of each variant's best."""
        reference_kl, reference_nll = default_reference(self.configurations)
        best = best_by_gain(self.configurations)
        gains = [
            (told, float(row[name]))
            for place, (_, row) in enumerate(best.iterrows())
            for name in ("gain", "gain_se")
            for told in ([name] if place == 0 else []) + [f"variant/{name}/{row['variant']}"]
        ]
        return {name: value for name, value in gains if math.isfinite(value)} | {
            "hypervolume": hypervolume(self.configurations, (reference_kl, reference_nll)),
            "hypervolume_reference_kl": reference_kl,
            "hypervolume_reference_nll": reference_nll,
            "area_gained": area_gained(self.configurations),
            "trials": float(len(self.results)),
        }

    def found(self) -> Iterator[tuple[TrialResult, bool]]:
        """Each trial that has finished, and whether its configuration is on the frontier."""
        best = self.configurations[self.configurations["on_frontier"]]
        on_frontier = {(row.variant, row.decoder, row.knobs) for row in best.itertuples()}
        for result, run in zip(self.results, self.runs.itertuples(), strict=True):
            if result.final:
                yield result, (run.variant, run.decoder, run.knobs) in on_frontier
