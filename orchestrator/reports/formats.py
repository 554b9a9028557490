"""Reports of stored sweeps as text: HTML, Markdown, CSV, JSON; and on a terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from orchestrator.analysis.sweeps.comparison import Comparison
from orchestrator.reports.figures.page import Part, Sentences, Table, page
from orchestrator.reports.figures.sweeps_html import comparison_sections
from orchestrator.reports.stored_reports import StoredReport, StoredReports
from orchestrator.reports.tables.frontier import frontier_plain
from orchestrator.reports.tables.gain_over_cost import TITLE
from orchestrator.reports.tables.plain import print_table
from orchestrator.reports.tables.sweeps import comparison_tables, importance_table
from orchestrator.reports.tables.verdicts import verdicts

Format = Callable[[StoredReports, bool], str]
"""From reports, and whether all configurations are wanted or those that matter."""


def show(reports: StoredReports, console: Console, *, all_rows: bool) -> None:
    """Every sweep's own tables and verdicts, then the comparison."""
    several = reports.comparison is not None
    for one in reports.reports:
        if several:
            console.print()
            console.rule(one.report.title, align="left", characters="─", style="dim")
        one.report.show(console, all_rows=all_rows)
        console.print()
        print_table(console, importance_table(one.importances).terminal())
    if reports.comparison is not None:
        console.print()
        console.rule("comparison", align="left", characters="─", style="dim")
        for table in comparison_tables(reports.comparison):
            console.print()
            print_table(console, table.terminal())
        for caution in reports.comparison.cautions:
            console.print(f"• {caution}", markup=False, highlight=False)


def as_html(reports: StoredReports, all_rows: bool) -> str:
    """A self-contained page: of one sweep its own page with tables, of several one figure for all."""
    return page(list(_parts(reports, all_rows)), title=reports.title)


def as_markdown(reports: StoredReports, all_rows: bool) -> str:
    """Tables and verdicts below headings."""
    parts: list[str] = []
    for one in reports.reports:
        table = importance_table(one.importances)
        parts += [f"# {one.report.title}\n", one.report.markdown(all_rows=all_rows)]
        parts += [f"## {table.title}\n", table.markdown()]
        parts += [f"- {note}" for note in one.sweep.notes]
    if reports.comparison is not None:
        parts.append("# Comparison\n")
        for table in comparison_tables(reports.comparison):
            parts += [f"## {table.title}\n", table.markdown()]
        parts += [f"- {caution}" for caution in reports.comparison.cautions]
    return "\n".join(parts).rstrip("\n") + "\n"


def as_csv(reports: StoredReports, all_rows: bool) -> str:
    """Every configuration with every column, unrounded, its sweep first."""
    tables = [one.report.configurations.assign(sweep=one.sweep.name) for one in reports.reports]
    table = pd.concat(tables, ignore_index=True)
    columns = ["sweep", *(name for name in table.columns if name != "sweep")]
    return str(table[columns].to_csv(index=False, lineterminator="\n"))


def as_json(reports: StoredReports, all_rows: bool) -> str:
    """Every figure, unrounded, with its type; null for one that is not finite."""
    comparison = reports.comparison
    data = {
        "sweeps": [_sweep(one) for one in reports.reports],
        "comparison": None if comparison is None else _comparison(comparison),
    }
    return json.dumps(_plain(data), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


FORMATS: Mapping[str, Format] = {"html": as_html, "md": as_markdown, "csv": as_csv, "json": as_json}


def _parts(reports: StoredReports, all_rows: bool) -> Iterator[Part]:
    comparison = reports.comparison
    if comparison is None:
        (one,) = reports.reports
        figure, *more = one.report.page_sections()
        yield figure
        yield from _tables(one, all_rows)
        yield from more
    else:
        yield from comparison_sections(comparison, title=reports.title)
        for table in comparison_tables(comparison):
            yield Table(table.title, table)
        if comparison.cautions:
            yield Sentences("What cannot be compared", comparison.cautions)
        for one in reports.reports:
            yield from _tables(one, all_rows, one.sweep.name)


def _tables(one: StoredReport, all_rows: bool, sweep: str = "") -> Iterator[Part]:
    """A sweep's tables; below its name where there are several."""

    def heading(text: str) -> str:
        return f"{sweep}: {text[0].lower()}{text[1:]}" if sweep else text

    report = one.report
    table = frontier_plain(report.configurations, entropy_floor=report.entropy_floor, all_rows=all_rows)
    yield Table(heading("Configurations"), table)
    if found := verdicts(report.configurations):
        yield Sentences(heading("Verdicts"), found)
    if report.over_budgets:
        yield Sentences(heading(TITLE), list(report.over_budgets))
    knobs = importance_table(one.importances)
    yield Table(heading(knobs.title), knobs)
    if one.sweep.notes:
        yield Sentences(heading("What is missing"), one.sweep.notes)


def _sweep(one: StoredReport) -> dict[str, object]:
    sweep, report = one.sweep, one.report
    return {
        "name": sweep.name,
        "title": sweep.title,
        "experiment_id": sweep.experiment_id,
        "run_id": sweep.run_id,
        "status": sweep.status,
        "corpus_digest": sweep.corpus_digest,
        "entropy_floor": sweep.entropy_floor,
        "notes": sweep.notes,
        "metrics": report.metrics(),
        "configurations": _records(report.configurations),
        "verdicts": verdicts(report.configurations),
        "gain_over_cost": report.over_budgets,
        "equal_compute": _records(pd.concat([report.at_tokens, report.at_seconds])),
        "importances": [asdict(found) for found in one.importances],
        "trials": [
            {"trial_id": result.trial_id, **result.plan.config(), "failure": result.failure}
            | {"final": result.final, "cost": result.cost}
            for result in report.results
        ],
    }


def _comparison(comparison: Comparison) -> dict[str, object]:
    kl, nll = comparison.reference
    return {
        "reference": {"kl": kl, "nll": nll},
        "indicators": _records(comparison.indicators),
        "epsilons": _records(comparison.epsilons),
        "attainment": _records(comparison.surfaces),
        "tests": _records(comparison.tests),
        "cautions": comparison.cautions,
    }


def _records(table: pd.DataFrame) -> list[dict[str, object]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.itertuples(index=False, name=None)]


def _plain(value: Any) -> Any:
    """What JSON knows."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
