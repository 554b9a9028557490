"""A self-contained page of plotly figures: the library is inside, so that it works without internet."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go

from orchestrator.reports.tables.plain import PlainTable

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
html {{ overflow-y: scroll }}
body {{ margin: 0; font-family: "Open Sans", verdana, arial, sans-serif; color: #222222 }}
h2 {{ margin: 32px 14px 4px; font-size: 17px; font-weight: normal }}
p {{ margin: 0 14px 8px; max-width: 70em; font-size: 13px; color: #666666 }}
.figure {{ height: 100vh; min-height: 640px }}
h2 ~ .figure {{ height: 80vh }}
.table {{ margin: 8px 14px; overflow-x: auto }}
table {{ border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }}
th, td {{ padding: 4px 10px; text-align: right; vertical-align: top; white-space: nowrap }}
th {{ border-bottom: 1px solid #222222 }}
td {{ border-bottom: 1px solid #eeeeee }}
th.words, td.words {{ text-align: left; white-space: normal }}
ul {{ margin: 8px 14px; padding-left: 18px; max-width: 80em; font-size: 13px; line-height: 1.5 }}
</style>
</head>
<body>
{sections}
</body>
</html>
"""


@dataclass(frozen=True)
class Section:
    """A figure, with a heading and a sentence on how to read it where it has them."""

    name: str
    figure: go.Figure
    heading: str = ""
    text: str = ""

    def html(self, *, library: bool) -> str:
        """As part of a page; `library`: with plotly's script, which the first one needs."""
        body = self.figure.to_html(
            full_html=False, include_plotlyjs=library, include_mathjax=False, div_id=self.name,
            auto_play=False, default_height="100%", config={"displaylogo": False, "responsive": True},
        )  # fmt: skip
        words = ((self.heading, "h2"), (self.text, "p"))
        above = [f"<{tag}>{html.escape(text)}</{tag}>" for text, tag in words if text]
        return "\n".join([*above, f'<div class="figure">{body}</div>'])


@dataclass(frozen=True)
class Table:
    """A table with a heading."""

    heading: str
    table: PlainTable

    def html(self, *, library: bool) -> str:
        """As part of a page."""
        return f"<h2>{html.escape(self.heading)}</h2>\n{self.table.html()}"


@dataclass(frozen=True)
class Sentences:
    """A list of sentences with a heading."""

    heading: str
    sentences: Sequence[str]

    def html(self, *, library: bool) -> str:
        """As part of a page."""
        items = "\n".join(f"<li>{html.escape(sentence)}</li>" for sentence in self.sentences)
        return f"<h2>{html.escape(self.heading)}</h2>\n<ul>\n{items}\n</ul>"


Part = Section | Table | Sentences


def write_page(parts: Sequence[Part], *, title: str, path: Path) -> None:
    """Writes the parts, one below the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(parts, title=title), encoding="utf-8")


def page(parts: Sequence[Part], *, title: str) -> str:
    """The parts, one below the other; plotly's script comes with the first figure."""
    first = next((index for index, part in enumerate(parts) if isinstance(part, Section)), None)
    texts = [part.html(library=index == first) for index, part in enumerate(parts)]
    return _PAGE.format(title=html.escape(title), sections="\n".join(texts))


def safe(text: str) -> str:
    """Text in which plotly sees no markup."""
    return html.escape(text, quote=False)
