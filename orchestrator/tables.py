"""The frontier as tables and sentences: for a terminal, for Markdown, for a spreadsheet, for a reader.

All figures are in nats per sentence. A difference is NLL + KL less the baseline's: negative is better.
"""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from orchestrator.frontier import BASELINE, best_of_each_variant
from orchestrator.gain import SIGNIFICANT
from orchestrator.wording import difference, number, plural, signed, uncertainty

_NUMBERS = ("NLL", "KL", "NLL + KL", "IW-NLL", "MI", "active units", "vs baseline", "above floor", "runs")
_NARROW = {
    "NLL + KL": "NLL\n+ KL",
    "IW-NLL": "IW-\nNLL",
    "active units": "AU",
    "above floor": "above\nfloor",
}
_WINS, _ON_FRONTIER, _STALE = "✓", "•", "†"
_MEANINGS = {
    _ON_FRONTIER: f"{_ON_FRONTIER} on the frontier",
    _WINS: f"{_WINS} beats the baseline by more than {SIGNIFICANT:g} standard errors on fresh seeds",
    _STALE: f"{_STALE} picked by the search from several: optimistic",
}


def frontier_table(
    configurations: pd.DataFrame, *, entropy_floor: float | None, all_rows: bool = False
) -> Table:
    """Table for a terminal, best NLL + KL first: the best of every variant, the frontier and their baselines.

    Only the first column gives way to a narrow terminal: variant and knobs wrap, numbers never do.

    Args:
        configurations: from ``frontier.configurations``.
        entropy_floor: entropy of the corpus; without it there is no column for the distance to it.
        all_rows: show every configuration.
    """
    headers = _headers(entropy_floor)
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, pad_edge=False, caption_justify="left")
    table.add_column("variant and knobs", overflow="fold", vertical="top")
    for header in headers:
        table.add_column(_NARROW.get(header, header), justify="right", no_wrap=True)
    rows = _rows(configurations, all_rows)
    for _, row in rows.iterrows():
        cells = _cells(row, entropy_floor)
        table.add_row(_name(row, rows), *(_styled(cells[header], header, row) for header in headers))
    table.caption = Text("no finished runs" if rows.empty else _caption(rows), "dim")
    return table


def frontier_markdown(
    configurations: pd.DataFrame, *, entropy_floor: float | None, all_rows: bool = False
) -> str:
    """The rows of ``frontier_table`` as a Markdown table, with the meaning of its marks underneath."""
    headers = _headers(entropy_floor)
    rows = _rows(configurations, all_rows)
    lines = [_line(["variant", "knobs", *headers]), _line(["---", "---", *("---:" for _ in headers)])]
    for _, row in rows.iterrows():
        cells = _cells(row, entropy_floor)
        lines.append(_line([_marked(row), _knobs(row, rows), *(cells[header] for header in headers)]))
    return "\n".join([*lines, "", "No finished runs." if rows.empty else _caption(rows) + "."]) + "\n"


def write_csv(configurations: pd.DataFrame, path: Path) -> None:
    """Every configuration with every column, unrounded, as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    configurations.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")


def verdicts(configurations: pd.DataFrame) -> list[str]:
    """One sentence per variant, best first: does it beat the baseline, by how much, how sure is that."""
    best = best_of_each_variant(configurations).sort_values("gain", ascending=False, kind="stable")
    picked_from = configurations.groupby("variant").size()
    return [_verdict(row, int(picked_from[row["variant"]])) for _, row in best.iterrows()]


def _rows(configurations: pd.DataFrame, all_rows: bool) -> pd.DataFrame:
    if all_rows:
        return configurations
    best = configurations.index.isin(best_of_each_variant(configurations).index)
    baseline = configurations["variant"] == BASELINE
    shown = best | configurations["on_frontier"]
    decoders = configurations["decoder"][shown & ~baseline]
    compared = baseline if decoders.empty else baseline & configurations["decoder"].isin(decoders)
    rows: pd.DataFrame = configurations.loc[shown | compared]
    return rows


def _headers(entropy_floor: float | None) -> list[str]:
    return [name for name in _NUMBERS if entropy_floor is not None or name != "above floor"]


def _cells(row: pd.Series, entropy_floor: float | None) -> dict[str, str]:
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
        "vs baseline": f"{_WINS} {versus}" if row["beats_baseline"] else versus,
        "above floor": number(row["nll_plus_kl"] - floor),
        "runs": str(row["runs"]) if row["fresh"] else f"{_STALE} {row['runs']}",
    }


def _marked(row: pd.Series) -> str:
    mark = f"{_ON_FRONTIER} " if row["on_frontier"] else ""
    return mark + str(row["variant"])


def _knobs(row: pd.Series, rows: pd.DataFrame) -> str:
    """The knobs, led by the decoder where the table holds several and this one is not the commonest.

    Knobs that name the decoder need no second word on it.
    """
    decoders = rows["decoder"].value_counts()
    named = len(decoders) > 1 and (row["variant"] == BASELINE or row["decoder"] != decoders.index[0])
    named = named and "decoder=" not in row["knobs"]
    return " ".join([f"decoder={row['decoder']}", row["knobs"]] if named else [row["knobs"]]).strip()


def _name(row: pd.Series, rows: pd.DataFrame) -> RenderableType:
    mark = _ON_FRONTIER if row["on_frontier"] else " "
    variant, knobs = Text(f"{mark} {row['variant']}", "bold"), _knobs(row, rows)
    return Group(variant, Padding(Text(knobs, "dim"), (0, 0, 0, 1))) if knobs else variant


def _styled(cell: str, header: str, row: pd.Series) -> Text:
    return Text(cell, "green" if header == "vs baseline" and row["beats_baseline"] else "")


def _caption(rows: pd.DataFrame) -> str:
    used = {
        _ON_FRONTIER: rows["on_frontier"].any(),
        _WINS: rows["beats_baseline"].any(),
        _STALE: (~rows["fresh"]).any(),
    }
    notes = ["nats per sentence, ± 1 standard error", *_iw_effort(rows)]
    return "; ".join([*notes, *(_MEANINGS[mark] for mark, use in used.items() if use)])


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


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.strip().replace("|", r"\|").replace("\n", " ") for cell in cells) + " |"


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
