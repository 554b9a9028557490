from __future__ import annotations

import io

import pandas as pd
import pytest
from rich.console import Console

from orchestrator.analysis.equal_compute import Budget, equal_compute
from orchestrator.analysis.results import histories_by_trial, runs_frame
from orchestrator.reports.tables.equal_compute import equal_compute_markdown, equal_compute_table
from tests.orchestrator.sweep_results import small_sweep, trained

TOKENS = Budget("tokens", 400.0)


def table(budget: Budget | None = TOKENS) -> pd.DataFrame:
    failed = trained("v0", "vanilla", "trial", 0, [20.0], failure="out_of_memory")
    results = [*small_sweep(), failed]
    return equal_compute(runs_frame(results), histories_by_trial(results), budget)


def test_markdown() -> None:
    lines = equal_compute_markdown(table()).splitlines()
    assert lines[0] == "## At equal compute: 400 tokens each, what the baseline's training costs"
    assert lines[2] == (
        "| variant | knobs | NLL | KL | NLL + KL | vs baseline | epochs | whole cost | runs |"
    )
    assert lines[4:9] == [
        "| • annealed | kl_start=0.1 | 10.45 | 1.75 | 12.20 | −0.90 ± 0.22 | 4 | × 1.00 | 2 |",
        "| cyclical | cycles=4 | 10.90 | 2.00 | 12.90 | −0.20 ± 0.24 | 4 | × 1.00 | † 1 |",
        "| • language_model |  | 13.10 | 0.00 | 13.10 | baseline | 4 | × 1.00 | 2 |",
        "| aggressive | kl_start=1 | – | – | – | over the budget | 0 | × 10.00 | 2 |",
        "| vanilla |  | – | – | – | failed | 1 | × 0.25 | 1 |",
    ]
    assert lines[10].startswith("nats per sentence on validation, at the best epoch within the budget; ")
    assert "± 1 standard error, of seeds alone" in lines[10]
    assert lines[10].endswith("over the budget: the first epoch of 2 runs costs more.")


@pytest.mark.parametrize("width", [80, 120])
def test_no_number_is_cut(width: int) -> None:
    stream = io.StringIO()
    Console(file=stream, width=width).print(equal_compute_table(table(Budget("seconds", 3.0))))
    text = stream.getvalue()
    assert max(len(line) for line in text.splitlines()) <= width
    assert "At equal compute: 3.00 seconds each" in text
    for cell in ("over the budget", "× 1.33", "aggressive", "kl_start=0.1"):
        assert (cell in text) == (cell != "over the budget")


def test_nothing_to_compare() -> None:
    assert "No finished runs." in equal_compute_markdown(table(None))
    stream = io.StringIO()
    Console(file=stream, width=80).print(equal_compute_table(table(None)))
    assert "no finished runs" in stream.getvalue()
