"""The frontier as a table: for a terminal, for Markdown, for a page, for a spreadsheet.

All figures are in nats per sentence. A difference is NLL + KL less the baseline's: negative is better.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pandas as pd
from rich.console import RenderableType

from orchestrator.analysis.frontier import best_of_each_variant
from orchestrator.analysis.verdict import ALPHA, Verdict
from orchestrator.common.wording import difference, number, uncertainty
from orchestrator.reports.tables.layout import (
    AHEAD,
    MEANINGS,
    ON_FRONTIER,
    STALE,
    UNCONVERGED,
    WINS,
    Layout,
    with_baselines,
)
from orchestrator.reports.tables.plain import PlainTable

_FLOOR = "above floor"
_NUMBERS = ("NLL", "KL", "NLL + KL", "IW-NLL", "MI", "active units", "vs baseline", _FLOOR, "runs")
_NARROW = {
    "NLL + KL": "NLL\n+ KL",
    "IW-NLL": "IW-\nNLL",
    "active units": "AU",
    _FLOOR: "above\nfloor",
}
_BEATS = f"{WINS} beats the converged baseline on fresh seeds, p ≤ {ALPHA:g} after Holm"
_UNCONVERGED = f"{UNCONVERGED} has not converged: more to gain than the error of its gain"
_AHEAD = f"{AHEAD} beats it at this budget, but the baseline has not converged or z has collapsed"


def frontier_table(
    configurations: pd.DataFrame, *, entropy_floor: float | None, all_rows: bool = False
) -> RenderableType:
    """Table for a terminal, best NLL + KL first: the best of every variant, the frontier and their baselines.

    Args:
        configurations: from ``frontier.configurations``.
        entropy_floor: entropy of the corpus; without it there is no column for the distance to it.
        all_rows: show every configuration.
    """
    return _layout(configurations, entropy_floor, all_rows).terminal()


def frontier_markdown(
    configurations: pd.DataFrame,
    *,
    entropy_floor: float | None,
    all_rows: bool = False,
    links: Mapping[str, str] | None = None,
) -> str:
    """The rows of ``frontier_table`` as a Markdown table, with the meaning of its marks underneath.

    Args:
        links: where the name of a configuration leads, by its ``trial_id``.
    """
    return _layout(configurations, entropy_floor, all_rows).markdown(links)


def frontier_plain(
    configurations: pd.DataFrame, *, entropy_floor: float | None, all_rows: bool = False
) -> PlainTable:
    """The rows of ``frontier_table`` as text, for a page."""
    return _layout(configurations, entropy_floor, all_rows).plain()


def write_csv(configurations: pd.DataFrame, path: Path) -> None:
    """Every configuration with every column, unrounded, as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    configurations.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")


def _layout(configurations: pd.DataFrame, entropy_floor: float | None, all_rows: bool) -> Layout:
    best = configurations.index.isin(best_of_each_variant(configurations).index)
    shown = best | configurations["on_frontier"].to_numpy(dtype=bool)
    rows = configurations if all_rows else with_baselines(configurations, shown)
    headers = [name for name in _NUMBERS if entropy_floor is not None or name != _FLOOR]
    return Layout(rows, headers, partial(_cells, entropy_floor), _caption(rows), _NARROW)


def _cells(entropy_floor: float | None, row: pd.Series) -> dict[str, str]:
    floor = math.nan if entropy_floor is None else entropy_floor
    units = float(row["active_units"])
    marks = ("" if row["fresh"] else STALE) + (UNCONVERGED if row["unconverged"] else "")
    versus = "baseline" if row["kind"] == "baseline" else difference(-row["gain"], row["gain_se"])
    return {
        "NLL": number(row["nll"]),
        "KL": number(row["kl"]),
        "NLL + KL": number(row["nll_plus_kl"]),
        "IW-NLL": number(row["iw_nll"]),
        "MI": number(row["mutual_information"]),
        "active units": number(units, 0 if units.is_integer() else 1),
        "vs baseline": f"{_mark(row)} {versus}".lstrip(),
        _FLOOR: number(row["nll_plus_kl"] - floor),
        "runs": f"{marks} {row['runs']}".lstrip(),
    }


def _mark(row: pd.Series) -> str:
    if row["beats_baseline"]:
        return WINS
    return AHEAD if row["gain_verdict"] == Verdict.BEATS else ""


def _caption(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    used = {
        MEANINGS[ON_FRONTIER]: rows["on_frontier"].any(),
        _BEATS: rows["beats_baseline"].any(),
        _AHEAD: ((rows["gain_verdict"] == Verdict.BEATS) & ~rows["beats_baseline"]).any(),
        MEANINGS[STALE]: (~rows["fresh"]).any(),
        _UNCONVERGED: rows["unconverged"].any(),
    }
    notes = ["nats per sentence, ± 1 standard error", *_iw_effort(rows)]
    return "; ".join([*notes, *(name for name, use in used.items() if use)])


def _iw_effort(rows: pd.DataFrame) -> list[str]:
    """What the column IW-NLL rests on."""
    known = rows[["iw_samples", "iw_sentences", "iw_nll_se"]].dropna()
    if known.empty:
        return []
    samples, sentences = (_span(known[name]) for name in ("iw_samples", "iw_sentences"))
    error = uncertainty(known["iw_nll_se"].max())
    return [f"IW-NLL: {samples} samples of z, {sentences} test sentences, ± {error} at most"]


def _span(counts: pd.Series) -> str:
    low, high = f"{counts.min():,.0f}", f"{counts.max():,.0f}"
    return low if low == high else f"{low} to {high}"
