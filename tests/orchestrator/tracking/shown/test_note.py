"""The note above a sweep's run, as text; how MLflow shows it is test_browser.py's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from orchestrator.reports.figures.frontier_png import frontier_png
from orchestrator.reports.sweep_report import NOTE_DPI, NOTE_FIGURE, Report
from orchestrator.reports.tables.frontier import frontier_markdown
from orchestrator.tracking.shown.note import NoteTargets, note
from tests.orchestrator.sweep_results import small_sweep

REPORT = Report.of("small", small_sweep(), 11.0)
TARGETS = NoteTargets(
    experiment_id="7",
    parent="f00d",
    trials={trial: f"run{trial}" for trial in ("a0", "t0", "b0")},
    comparison="#/experiments/7/runs?x=1",
    artifacts=("frontier.html", "a b.md"),
    figure=NOTE_FIGURE,
)


def written(targets: NoteTargets = TARGETS, limit: int = 8000) -> str:
    return note(targets, REPORT.verdicts(), REPORT.table(links=targets.links), limit=limit)


def test_what_to_open_then_verdicts_then_the_figure_then_the_table() -> None:
    links, verdicts, figure, table, caption = written().split("\n\n")
    assert links == (
        "**[compare all trials](#/experiments/7/runs?x=1)**"
        " · [frontier.html](#/experiments/7/runs/f00d/artifacts/frontier.html?workflowType=machine_learning)"
        " · [a b.md](#/experiments/7/runs/f00d/artifacts/a%20b.md?workflowType=machine_learning)"
    )
    assert verdicts.splitlines()[0].startswith(
        "- aggressive (kl_start=1) is not told from the baseline: −1.50 "
    )
    assert figure == "![the frontier](get-artifact?path=frontier_note.png&run_uuid=f00d)"
    rows = [
        [cell.strip("\u2002\u200b ").replace("\u00a0", " ") for cell in row.split("|")[1:-1]]
        for row in table.splitlines()
    ]
    run = "#/experiments/7/runs/run{}?workflowType=machine_learning"
    assert [row[0] for row in rows[2:]] == [
        f"• [aggressive]({run.format('a0')})", f"• [annealed]({run.format('t0')})", "cyclical",
        f"• [language_model]({run.format('b0')})",
    ]  # fmt: skip
    assert rows[2][1:5] == ["kl_start=1", "9.60", "2.00", "11.60"]
    assert all(len(row) == 11 and set("".join(row)) <= set("-:") for row in [rows[1]])
    assert caption.replace("\u00a0", " ").startswith(
        "nats per sentence, ± 1 standard error; • on the frontier"
    )


def test_without_a_figure() -> None:
    assert "![" not in written(replace(TARGETS, figure=None))
    assert written(replace(TARGETS, figure=None, artifacts=())).startswith(
        "**[compare all trials](#/experiments/7/runs?x=1)**\n\n- aggressive"
    )


def test_the_tables_last_rows_give_way_visibly() -> None:
    whole = written()
    text = written(limit=len(whole) - 300)
    assert len(text) <= len(whole) - 300
    assert "[aggressive]" in text
    assert "[language_model]" not in text
    assert text.endswith(f"*Shortened: {len(whole)} characters in all.*")


def test_names_lead_where_they_are_told_to_alone() -> None:
    plain = frontier_markdown(REPORT.configurations, entropy_floor=11.0)
    linked = frontier_markdown(REPORT.configurations, entropy_floor=11.0, links={"a0": "x", "absent": "y"})
    assert linked == plain.replace("| • aggressive |", "| • [aggressive](x) |")


def test_the_figure_is_as_wide_as_the_page(tmp_path: Path) -> None:
    path = tmp_path / NOTE_FIGURE
    table: pd.DataFrame = REPORT.configurations
    frontier_png(table, REPORT.runs, title="small", entropy_floor=11.0, path=path, dpi=NOTE_DPI)
    with Image.open(path) as picture:
        assert picture.size[0] == round(9.6 * NOTE_DPI) == 816
        assert np.asarray(picture.convert("L")).std() > 10
