"""A table of configurations, for a terminal and for Markdown: a name with its knobs, then numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from orchestrator.reports.tables.plain import PlainTable
from trainables.variants import BASELINE

WINS, AHEAD, ON_FRONTIER, STALE, UNCONVERGED = "✓", "(✓)", "•", "†", "‡"
MEANINGS = {
    ON_FRONTIER: f"{ON_FRONTIER} on the frontier",
    STALE: f"{STALE} picked by the search from several: optimistic",
}


@dataclass(frozen=True)
class Layout:
    """A table ready to be written.

    Attributes:
        rows: configurations, from `comparison.compared`.
        headers: of the columns with numbers.
        cells: the numbers of a row, by header.
        caption: what the marks mean.
        narrow: headers in two lines, for a terminal.
        title: over the table on a terminal.
    """

    rows: pd.DataFrame
    headers: Sequence[str]
    cells: Callable[[pd.Series], Mapping[str, str]]
    caption: str
    narrow: Mapping[str, str]
    title: str | None = None

    def terminal(self) -> RenderableType:
        """Numbers never wrap; the knobs of a row stand below it, as wide as the terminal."""
        table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, pad_edge=False, show_lines=True)
        table.add_column("variant", overflow="fold", vertical="top")
        for header in self.headers:
            table.add_column(self.narrow.get(header, header), justify="right", no_wrap=True)
        for _, row in self.rows.iterrows():
            cells, mark = self.cells(row), ON_FRONTIER if row["on_frontier"] else " "
            name = Text(f"{mark} {row['variant']}", "bold")
            table.add_row(name, *(_coloured(cells[header]) for header in self.headers))
        knobs = [self._knobs(row) for _, row in self.rows.iterrows()]
        return _WithLines(self.title, table, knobs, self.caption or "no finished runs")

    def markdown(self, links: Mapping[str, str] | None = None) -> str:
        """The same rows, with the meaning of the marks underneath.

        Args:
            links: where the name of a row leads, by its `trial_id`.
        """
        return self.plain(links).markdown()

    def plain(self, links: Mapping[str, str] | None = None) -> PlainTable:
        """The same rows as text, variant and knobs in columns of their own."""
        rows = []
        for _, row in self.rows.iterrows():
            cells, mark = self.cells(row), f"{ON_FRONTIER} " if row["on_frontier"] else ""
            link = (links or {}).get(row["trial_id"])
            name = f"[{row['variant']}]({link})" if link else row["variant"]
            rows.append([f"{mark}{name}", self._knobs(row), *(cells[header] for header in self.headers)])
        words = ["variant", "knobs"]
        caption = self.caption or "No finished runs"
        return PlainTable(self.title or "", [*words, *self.headers], rows, words, caption)

    def _knobs(self, row: pd.Series) -> str:
        """The knobs, led by the decoder where the table holds several and this one is not the commonest.

        Knobs that name the decoder need no second word on it.
        """
        decoders = self.rows["decoder"].value_counts()
        named = len(decoders) > 1 and (row["variant"] == BASELINE or row["decoder"] != decoders.index[0])
        named = named and "decoder=" not in row["knobs"]
        return " ".join([f"decoder={row['decoder']}", row["knobs"]] if named else [row["knobs"]]).strip()


@dataclass(frozen=True)
class _WithLines:
    """A table with a line of text below each of its rows, in the place of the blank one that divides them."""

    title: str | None
    table: Table
    lines: Sequence[str]
    caption: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.title:
            yield Text(self.title, "bold")
        below = iter(self.lines)
        for line in console.render_lines(self.table, options, pad=False):
            if any(segment.text.strip() for segment in line):
                yield from (*line, Segment.line())
            else:
                yield from _below(next(below))
        for text in below:  # the last row has no blank line behind it
            yield from _below(text)
        yield Text(self.caption, "dim")


def _below(text: str) -> list[RenderableType]:
    return [Padding.indent(Text(text, "dim"), 4)] if text else []


def with_baselines(configurations: pd.DataFrame, shown: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """The configurations of the mask `shown` and the baselines that these are compared with, or all of them
    where nothing else is shown."""
    baseline = (configurations["variant"] == BASELINE).to_numpy()
    decoders = configurations["decoder"][shown & ~baseline]
    compared = baseline & (decoders.empty | configurations["decoder"].isin(decoders).to_numpy())
    rows: pd.DataFrame = configurations.loc[shown | compared]
    return rows


def _coloured(cell: str) -> Text:
    return Text(cell, "green" if cell.startswith(WINS) else "")
