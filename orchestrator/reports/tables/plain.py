"""A table whose cells are text already: for a terminal, for Markdown, for a page."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

LEAST_WIDTH = 72
"""Columns of a table's terminal; a narrower one breaks its lines."""


def print_table(console: Console, table: RenderableType) -> None:
    """Prints a table so that its figures stay readable on a narrow terminal."""
    if console.width < LEAST_WIDTH:
        console = Console(
            file=console.file,
            width=LEAST_WIDTH,
            force_terminal=console.is_terminal,
            no_color=console.no_color,
        )
    console.print(table)


@dataclass(frozen=True)
class PlainTable:
    """A table ready to be written.

    Attributes:
        words: the headers of columns that hold words: they stand on the left and wrap; numbers do not.
        caption: underneath, a sentence without its full stop.
    """

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[str]
    caption: str = ""

    def terminal(self) -> RenderableType:
        """For a terminal: only words give way to a narrow one; the caption is as wide as the terminal."""
        table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, pad_edge=False)
        for header in self.headers:
            if header in self.words:
                table.add_column(header, overflow="fold", vertical="top")
            else:
                table.add_column(header, justify="right", no_wrap=True)
        for row in self.rows:
            table.add_row(*(Text(cell) for cell in row))
        body = [table] if self.rows else []
        caption = [Text(self.caption, "dim")] if self.caption else []
        return Group(Text(self.title, "bold"), *body, *caption)

    def markdown(self) -> str:
        """The rows, and the caption underneath."""
        rules = ["---" if header in self.words else "---:" for header in self.headers]
        lines = [_line(self.headers), _line(rules), *(_line(row) for row in self.rows)]
        return "\n".join([*lines, *(["", f"{self.caption}."] if self.caption else [])]) + "\n"

    def html(self) -> str:
        """The rows and the caption as part of a page, without the title."""
        kinds = ["words" if header in self.words else "" for header in self.headers]
        head = "".join(_cell("th", text, kind) for text, kind in zip(self.headers, kinds, strict=True))
        body = "\n".join(
            f"<tr>{''.join(_cell('td', text, kind) for text, kind in zip(row, kinds, strict=True))}</tr>"
            for row in self.rows
        )
        caption = f"<p>{html.escape(self.caption)}.</p>" if self.caption else ""
        return f'<div class="table"><table>\n<tr>{head}</tr>\n{body}\n</table></div>{caption}'


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.strip().replace("|", r"\|").replace("\n", " ") for cell in cells) + " |"


def _cell(tag: str, text: str, kind: str) -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f"<{tag}{attribute}>{html.escape(text)}</{tag}>"
