"""What a sweep would do, for people: its spec, what it searches, its baselines, how many trials it makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.common.wording import plural
from orchestrator.reports.tables.plain import print_table
from orchestrator.search.plan import SearchPlan
from orchestrator.search.trial_plan import short
from orchestrator.spec.overrides import VariantPlan
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.text.splits import Corpus


def show(spec: SweepSpec, corpus: Corpus, console: Console) -> None:
    """Print the resolved spec as YAML and the planned trials as a table."""
    console.print(spec.to_yaml(), markup=False, highlight=False, soft_wrap=True)
    plan = SearchPlan.of(spec, corpus.longest)
    print_table(console, _table(plan, str(spec.epochs)))
    for caution in (*corpus.notes, *plan.cautions()):
        console.print(f"note: {caution}", style="yellow", markup=False, highlight=False)
    if any(map(plan.repeats, plan.variants)):
        console.print("trials: of the search + of its best configuration on fresh seeds", style="dim")


def _table(plan: SearchPlan, epochs: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, padding=(0, 1), pad_edge=False)
    total = sum(plan.planned().values())
    table.add_column("variant", footer="in all", no_wrap=True, vertical="top")
    table.add_column("fixed and searched knobs", footer=f"{plural(total, 'trial')} of {epochs}")
    table.add_column("trials", footer=str(total), justify="right", no_wrap=True)
    for each in (*plan.baselines, *plan.variants):
        counts = [str(count) for count in (plan.trials_of(each), plan.repeats(each)) if count]
        table.add_row(each.variant, _changes(each), " + ".join(counts))
    return table


def _changes(plan: VariantPlan) -> Text:
    return _knobs(plan.knobs, plan.distributions) if plan.knobs or plan.distributions else Text("–", "dim")


def _knobs(fixed: Mapping[str, Any], searched: Mapping[str, BaseDistribution]) -> Text:
    """The fixed knobs in one line, then each searched one with its range."""
    settings = ", ".join(f"{knob} = {short(value)}" for knob, value in fixed.items())
    lines = [f"{knob}: {_range(found)}" for knob, found in searched.items()]
    return Text("\n".join([settings, *lines] if settings else lines))


def _range(found: BaseDistribution) -> str:
    if isinstance(found, CategoricalDistribution):
        return ", ".join(short(choice) for choice in found.choices)
    assert isinstance(found, FloatDistribution | IntDistribution)
    step = f", step {short(found.step)}" if found.step not in (None, 1) else ""
    return f"{short(found.low)} to {short(found.high)}{', log' if found.log else ''}{step}"
