from __future__ import annotations

import io

from rich.console import Console

from orchestrator.reports.figures.page import Sentences, Table, page
from orchestrator.reports.tables.plain import PlainTable, print_table

TABLE = PlainTable("What", ["name", "p"], [["a|b", "0.1"], ["<c>", "–"]], ["name"], "p: of x < y")


def test_markdown() -> None:
    assert TABLE.markdown() == (
        "| name | p |\n| --- | ---: |\n| a\\|b | 0.1 |\n| <c> | – |\n\np: of x < y.\n"
    )


def test_html_has_no_markup_of_its_cells() -> None:
    assert TABLE.html() == (
        '<div class="table"><table>\n<tr><th class="words">name</th><th>p</th></tr>\n'
        '<tr><td class="words">a|b</td><td>0.1</td></tr>\n'
        '<tr><td class="words">&lt;c&gt;</td><td>–</td></tr>\n</table></div><p>p: of x &lt; y.</p>'
    )


def test_words_give_way_on_a_narrow_terminal_and_numbers_do_not() -> None:
    table = PlainTable(
        "What", ["name", "p"], [["one two three four five", "0.123456"]], ["name"], "note " * 9
    )
    console = Console(file=io.StringIO(), width=24)
    console.print(table.terminal())
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 24
    assert lines[0].strip() == "What"
    assert "0.123456" in lines[3]


def test_a_page_without_figures() -> None:
    text = page([Table("A & B", TABLE), Sentences("Notes", ["1 < 2"])], title="t")
    assert "<h2>A &amp; B</h2>" in text
    assert "<li>1 &lt; 2</li>" in text
    assert "plotly" not in text.lower()


def test_figures_stay_readable_on_a_narrow_terminal() -> None:
    table = PlainTable("title", ["name", "NLL"], [["a long name of something", "13.31"]], ["name"])
    for width in (20, 72, 100):
        console = Console(file=io.StringIO(), width=width)
        print_table(console, table.terminal())
        assert "13.31" in console.file.getvalue()  # type: ignore[attr-defined]
