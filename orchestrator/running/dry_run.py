"""What a sweep would do, for people: its spec, what it searches, its baselines, how many trials it makes."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
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

from orchestrator.budget.caps import Caps, Used
from orchestrator.budget.forecast import Forecast
from orchestrator.budget.probe import local_slots, probed, with_local_gpus
from orchestrator.common.wording import duration, plural
from orchestrator.recorded.earlier_lengths import EarlierLengths
from orchestrator.reports.tables.plain import print_table
from orchestrator.search.plan import SearchPlan
from orchestrator.search.trial_plan import short
from orchestrator.spec.overrides import VariantPlan
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.text.splits import Corpus
from trainables.variants import BASELINE


def show(spec: SweepSpec, corpus: Corpus, console: Console) -> None:
    """Print the resolved spec as YAML and the planned trials as a table."""
    console.print(spec.to_yaml(), markup=False, highlight=False, soft_wrap=True)
    plan = SearchPlan.of(spec, corpus.longest)
    print_table(console, _table(plan, str(spec.epochs)))
    for caution in (*corpus.notes, *plan.cautions()):
        console.print(f"note: {caution}", style="yellow", markup=False, highlight=False)
    if any(map(plan.repeats, plan.variants)):
        console.print("trials: of the search + of its best configuration on fresh seeds", style="dim")
    if any(plan.repeats(each) < plan.baseline_seeds for each in plan.baselines):
        console.print("of a baseline: all its seeds if a best configuration has its decoder", style="dim")


def show_plan(spec: SweepSpec, corpus: Corpus, console: Console) -> None:
    """Print the same, then what it will take, from some steps of each model on this machine."""
    show(spec, corpus, console)
    spec, left_open = with_local_gpus(spec), spec.resources.gpus is None
    plan, slots = SearchPlan.of(spec, corpus.longest), local_slots(spec)
    with console.status("timing some steps of each model"):
        earlier = EarlierLengths.of(spec, plan, corpus)
        paces = probed(plan.typical(), spec, corpus, slots)
    forecast = Forecast.of(plan, paces, slots, earlier.trained)
    if os.environ.get("RAY_ADDRESS"):
        console.print("note: timed on this machine, not on the cluster", style="yellow")
    if left_open and spec.resources.share:
        console.print("note: with a GPU for each trial; the sweep lets them share it", style="yellow")
    console.print()
    guessed = [each.variant for each in forecast.variants if each.variant not in earlier.trained]
    print_table(console, _forecast_table(forecast, guessed if spec.epochs.limit else ()))
    if earlier.sweeps:
        console.print(f"epochs: those of trainings in {', '.join(earlier.sweeps)}", style="dim")
    for line in _in_all(forecast, Caps(spec.budget, spec.resources)):
        console.print(line, highlight=False)


def _forecast_table(forecast: Forecast, guessed: Collection[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("variant", no_wrap=True)
    for title in ("trials", "epochs", "a trial", "all of them", "memory of a trial"):
        table.add_column(title, justify="right", no_wrap=title != "memory of a trial")
    for each in forecast.variants:
        table.add_row(
            each.variant,
            str(each.trials),
            f"≈ {each.epochs:.0f}" if each.variant in guessed else f"{each.epochs:.0f}",
            duration(each.trial_seconds),
            duration(each.seconds),
            f"{each.memory / 2**30:.1f} GiB",
        )
    return table


def _in_all(forecast: Forecast, caps: Caps) -> list[str]:
    """The sweep as a whole, in sentences, and the cap that it would meet."""
    gpu_hours, cost = forecast.amounts(caps)
    amounts = [f"{forecast.trial_seconds / 3600:.2f} trial-hours"]
    amounts += [f"{gpu_hours:.2f} GPU-hours"] if gpu_hours else []
    amounts += [f"a cost of {cost:.2f}"] if cost is not None else []
    most = ""
    if forecast.most_seconds > forecast.seconds:
        most = f"; up to {duration(forecast.most_seconds)} if every test asks for all its seeds"
    found = [f"about {duration(forecast.seconds)}, {forecast.slots} at a time: {', '.join(amounts)}{most}"]
    used = Used(forecast.seconds / 3600, forecast.trial_seconds / 3600)
    cap = caps.reached(used, datetime.now().astimezone() + timedelta(seconds=forecast.seconds))
    return found + ([f"a cap would end it before: {cap}"] if cap else [])


def _table(plan: SearchPlan, epochs: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, padding=(0, 1), pad_edge=False)
    total = sum(plan.planned().values())
    table.add_column("variant", footer="in all", no_wrap=True, vertical="top")
    table.add_column("fixed and searched knobs", footer=f"{plural(total, 'trial')} of {epochs}")
    table.add_column("trials", footer=str(total), justify="right", no_wrap=True)
    for each in (*plan.baselines, *plan.variants):
        counts = [str(count) for count in (plan.trials_of(each), plan.repeats(each)) if count]
        if each.variant == BASELINE and plan.repeats(each) < plan.baseline_seeds:
            counts[-1] += f" to {plan.baseline_seeds}"
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
