"""A self-contained page of plotly figures: the library is inside, so that it works without internet."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go

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


def write_page(sections: Sequence[Section], *, title: str, path: Path) -> None:
    """Writes the sections, one below the other."""
    parts = [section.html(library=index == 0) for index, section in enumerate(sections)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_PAGE.format(title=html.escape(title), sections="\n".join(parts)), encoding="utf-8")


def safe(text: str) -> str:
    """Text in which plotly sees no markup."""
    return html.escape(text, quote=False)
