"""The comparison at equal compute as a table, for a terminal and for Markdown."""

from __future__ import annotations

import math

import pandas as pd
from rich.console import RenderableType

from orchestrator.analysis.equal_compute import TOKENS
from orchestrator.analysis.frontier import best_of_each_variant
from orchestrator.common.wording import difference, number, plural, thousands
from orchestrator.reports.tables.layout import MEANINGS, ON_FRONTIER, STALE, Layout, with_baselines

_HEADERS = ("NLL", "KL", "NLL + KL", "vs baseline", "epochs", "whole cost", "runs")
_NARROW = {"NLL + KL": "NLL\n+ KL", "whole cost": "whole\ncost"}
_CAPTION = (
    "nats per sentence on validation, at the best epoch within the budget; ± 1 standard error, of seeds "
    "alone; epochs: how many the budget pays for; whole cost: of the whole training, in budgets"
)


def equal_compute_table(table: pd.DataFrame) -> RenderableType:
    """Table for a terminal, best NLL + KL first: the best of every variant, the frontier and their baselines.

    Args:
        table: from ``equal_compute.equal_compute``.
    """
    return _layout(table).terminal()


def equal_compute_markdown(table: pd.DataFrame) -> str:
    """The rows of ``equal_compute_table`` below a heading, with the meaning of its columns."""
    layout = _layout(table)
    return f"## {layout.title}\n\n{layout.markdown()}"


def against_baseline(row: pd.Series) -> str:
    """The difference to the baseline with its error, or why there is none."""
    if row["kind"] == "baseline":
        return "baseline"
    if row["over_budget"]:
        return "over the budget"
    return "failed" if row["failed"] else difference(-row["gain"], row["gain_se"])


def _layout(table: pd.DataFrame) -> Layout:
    rows = with_baselines(table, table.index.isin(best_of_each_variant(table).index))
    return Layout(rows, _HEADERS, _cells, _caption(rows), _NARROW, _title(table))


def _title(table: pd.DataFrame) -> str:
    if table.empty:
        return "At equal compute"
    budget, unit = float(table["budget"].iloc[0]), str(table["budget_in"].iloc[0])
    size = thousands(budget) if unit == TOKENS else number(budget)
    return f"At equal compute: {size} {unit} each, what the baseline's training costs"


def _cells(row: pd.Series) -> dict[str, str]:
    return {
        "NLL": number(row["nll"]),
        "KL": number(row["kl"]),
        "NLL + KL": number(row["nll_plus_kl"]),
        "vs baseline": against_baseline(row),
        "epochs": _mean_count(row["epochs"]),
        "whole cost": f"× {number(row['whole_cost'] / row['budget'])}",
        "runs": str(row["runs"]) if row["fresh"] else f"{STALE} {row['runs']}",
    }


def _mean_count(value: float) -> str:
    return number(value, 0 if math.isfinite(value) and value.is_integer() else 1)


def _caption(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    over = int(rows["over_budget"].sum())
    used = {
        MEANINGS[ON_FRONTIER]: rows["on_frontier"].any(),
        MEANINGS[STALE]: (~rows["fresh"]).any(),
        f"over the budget: the first epoch of {plural(over, 'run')} costs more": over > 0,
    }
    return "; ".join([_CAPTION, *(name for name, use in used.items() if use)])
