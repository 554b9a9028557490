"""The frontier as tables and sentences: for a terminal, for Markdown, for a spreadsheet, for a reader.

All figures are in nats per sentence. A difference is NLL + KL less the baseline's: negative is better.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pandas as pd
from rich.table import Table

from orchestrator.analysis.frontier import best_of_each_variant
from orchestrator.analysis.gain import SIGNIFICANT
from orchestrator.common.wording import difference, number, plural, signed, uncertainty
from orchestrator.reports.tables.layout import MEANINGS, ON_FRONTIER, STALE, WINS, Layout, with_baselines
from orchestrator.reports.tables.plain import PlainTable

_NUMBERS = ("NLL", "KL", "NLL + KL", "IW-NLL", "MI", "active units", "vs baseline", "above floor", "runs")
_NARROW = {
    "NLL + KL": "NLL\n+ KL",
    "IW-NLL": "IW-\nNLL",
    "active units": "AU",
    "above floor": "above\nfloor",
}
_BEATS = f"{WINS} beats the baseline by more than {SIGNIFICANT:g} standard errors on fresh seeds"


def frontier_table(
    configurations: pd.DataFrame, *, entropy_floor: float | None, all_rows: bool = False
) -> Table:
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


def verdicts(configurations: pd.DataFrame) -> list[str]:
    """One sentence per variant, best first: does it beat the baseline, by how much, how sure is that."""
    best = best_of_each_variant(configurations).sort_values("gain", ascending=False, kind="stable")
    picked_from = configurations.groupby("variant").size()
    return [_verdict(row, int(picked_from[row["variant"]])) for _, row in best.iterrows()]


def _layout(configurations: pd.DataFrame, entropy_floor: float | None, all_rows: bool) -> Layout:
    best = configurations.index.isin(best_of_each_variant(configurations).index)
    shown = best | configurations["on_frontier"].to_numpy(dtype=bool)
    rows = configurations if all_rows else with_baselines(configurations, shown)
    headers = [name for name in _NUMBERS if entropy_floor is not None or name != "above floor"]
    return Layout(rows, headers, partial(_cells, entropy_floor), _caption(rows), _NARROW)


def _cells(entropy_floor: float | None, row: pd.Series) -> dict[str, str]:
    floor = math.nan if entropy_floor is None else entropy_floor
    units = float(row["active_units"])
    versus = "baseline" if row["kind"] == "baseline" else difference(-row["gain"], row["gain_se"])
    return {
        "NLL": number(row["nll"]),
        "KL": number(row["kl"]),
        "NLL + KL": number(row["nll_plus_kl"]),
        "IW-NLL": number(row["iw_nll"]),
        "MI": number(row["mutual_information"]),
        "active units": number(units, 0 if units.is_integer() else 1),
        "vs baseline": f"{WINS} {versus}" if row["beats_baseline"] else versus,
        "above floor": number(row["nll_plus_kl"] - floor),
        "runs": str(row["runs"]) if row["fresh"] else f"{STALE} {row['runs']}",
    }


def _caption(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    used = {
        MEANINGS[ON_FRONTIER]: rows["on_frontier"].any(),
        _BEATS: rows["beats_baseline"].any(),
        MEANINGS[STALE]: (~rows["fresh"]).any(),
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


def _verdict(row: pd.Series, candidates: int) -> str:
    name = f"{row['variant']} ({row['knobs']})" if row["knobs"] else str(row["variant"])
    if row["failed"]:
        return f"{name} failed in {row['failed']} of {plural(int(row['runs']), 'run')}: no comparison"
    if not math.isfinite(row["gain"]):
        return f"{name} cannot be compared: there is no baseline with its decoder, {row['decoder']}"
    gain, error = float(row["gain"]), float(row["gain_se"])
    basis = _basis(row, candidates)
    if not math.isfinite(error):
        return (
            f"{name}: {signed(-gain)} nats per sentence against the baseline, uncertainty unknown ({basis})"
        )
    if abs(gain) <= SIGNIFICANT * error:
        noise = f" by more than {SIGNIFICANT:g} standard errors" if gain > 0 else ""
        size = f"{difference(-gain, error)} nats per sentence"
        return f"{name} does not beat the baseline{noise}: {size} ({basis})"
    decimals = 3 if error < 0.01 else 2
    size = f"by {number(abs(gain), decimals)} ± {uncertainty(error)} nats per sentence"
    errors = "" if error == 0 else f"{plural(round(abs(row['gain_z'])), 'standard error')}, "
    better = "beats the collapsed baseline" if row["beats_baseline"] else "looks better than the baseline"
    verb = better if gain > 0 else "is worse than the baseline"
    return f"{name} {verb} {size} ({errors}{basis})"


def _basis(row: pd.Series, candidates: int) -> str:
    """What the figure rests on, so that nobody takes a picked run for a replicated one."""
    runs = int(row["runs"])
    if row["fresh"]:
        text = plural(runs, "fresh seed")
    elif candidates > 1:
        count = "a single run" if runs == 1 else plural(runs, "run")
        text = f"{count}, chosen as the best of {candidates}: expect it to be optimistic"
    else:
        text = "a single run" if runs == 1 else plural(runs, "run")
    return text if row["seed_noise_known"] else f"{text}; noise between seeds unknown"
