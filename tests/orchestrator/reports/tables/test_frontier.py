from __future__ import annotations

import io
import math
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from orchestrator.analysis.frontier import COLUMNS, configurations
from orchestrator.common.wording import difference, number, signed, thousands
from orchestrator.reports.tables.frontier import frontier_markdown, frontier_table, write_csv
from orchestrator.reports.tables.verdicts import verdicts
from tests.orchestrator.table_sweep import KNOBS, sweep


def shown(frame: pd.DataFrame, width: int, *, floor: float | None = 10.57, all_rows: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width)
    console.print(frontier_table(frame, entropy_floor=floor, all_rows=all_rows))
    return stream.getvalue()


@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize(("offset", "floor"), [(0.0, 10.57), (300.0, None)])
def test_no_number_and_no_knob_is_cut(width: int, offset: float, floor: float | None) -> None:
    text = shown(sweep(offset), width, floor=floor)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    for cell in (number(11.8 + offset), "2.70", "✓ −1.90 ± 0.08", "vs baseline", *KNOBS.split()):
        assert cell in text
    assert ("1.23" in text) == (floor is not None)


def test_every_row_has_its_knobs_below_it_and_none_is_broken() -> None:
    lines = shown(sweep(), 80, all_rows=True).splitlines()
    rule = next(number for number, line in enumerate(lines) if set(line.strip()) == {"─"})
    below = [line.rstrip() for line in lines[rule + 1 : rule + 7]]
    assert [line[:16].strip() for line in below[::2]] == ["• annealed", "• language_model", "annealed"]
    assert (below[1], below[5]) == (f"    {KNOBS}", "    kl_start=0")
    assert below[3].startswith("  vanilla  ")  # a baseline has none


def test_a_long_name_and_long_knobs_take_the_lines_that_they_need() -> None:
    name, knobs = "annealed_with_a_name_that_is_longer_than_its_column", "a=" + "12345 b=" * 20 + "1"
    text = shown(sweep().assign(variant=name, knobs=knobs), 72)
    assert max(len(line) for line in text.splitlines()) <= 72
    words = text.split()
    assert words.count("column") == words.count("a=12345") == 2  # folded, and with its knobs below
    assert words.count("b=12345") == 2 * 19


def test_rows_are_sorted_and_the_rest_comes_with_all_rows() -> None:
    text = shown(sweep(), 100)
    assert text.index("annealed") < text.index("language_model") < text.index("vanilla")
    assert "kl_start=0" not in text.split()
    assert "kl_start=0" in shown(sweep(), 100, all_rows=True).split()
    assert "above" not in shown(sweep(), 100, floor=None)


def test_winners_are_told_without_colour_and_green_with_it() -> None:
    assert "\x1b" not in shown(sweep(), 80)
    stream = io.StringIO()
    console = Console(file=stream, width=80, force_terminal=True, color_system="standard", no_color=False)
    console.print(frontier_table(sweep(), entropy_floor=None))
    assert "\x1b[32m✓ −1.90 ± 0.08\x1b[0m" in stream.getvalue()
    assert "\x1b[32m" not in "".join(line for line in stream.getvalue().splitlines() if "vanilla" in line)


def test_knobs_are_text_and_not_markup() -> None:
    frame = sweep().assign(knobs="dilation=[1,2,4] [bold]x[/bold]")
    assert "[bold]x[/bold]" in shown(frame, 140)


def test_markdown() -> None:
    lines = frontier_markdown(sweep(), entropy_floor=10.57).splitlines()
    assert (
        lines[0]
        == "| variant | knobs | NLL | KL | NLL + KL | IW-NLL | MI | active units | vs baseline | above floor "
        "| runs |"
    )
    assert lines[1] == "| --- | --- |" + " ---: |" * 9
    assert (
        lines[2]
        == f"| • annealed | {KNOBS} | 8.80 | 3.00 | 11.80 | 11.55 | 2.70 | 6 | ✓ −1.90 ± 0.08 | 1.23 | 3 |"
    )
    assert (
        lines[3] == "| • language_model |  | 13.70 | 0.00 | 13.70 | 13.45 | 0.00 | 0 | baseline | 3.13 | 3 |"
    )
    assert lines[4] == "| vanilla |  | 13.71 | 0.00 | 13.71 | 13.46 | 0.00 | 0 | +0.01 ± 0.08 | 3.14 | 3 |"
    assert lines[5:] == ["", lines[-1]]
    assert lines[-1].startswith(
        "nats per sentence, ± 1 standard error; IW-NLL: 500 samples of z, 1,200 test sentences, ± 0.11 at"
        " most; • on the frontier; ✓ beats the converged baseline"
    )
    assert r"a\|b" in frontier_markdown(sweep().assign(knobs="a|b"), entropy_floor=None)


def test_what_has_not_converged_is_marked_and_its_victims_are_no_proof() -> None:
    text = frontier_markdown(sweep(still_to_gain=0.2), entropy_floor=10.57)
    assert "| (✓) −1.90 ± 0.08 | 1.23 | ‡ 3 |" in text
    assert "| +0.01 ± 0.08 | 3.14 | ‡ 3 |" in text
    assert "‡ has not converged" in text
    assert "(✓) beats it at this budget" in text
    assert "‡" not in frontier_markdown(sweep(still_to_gain=0.06), entropy_floor=10.57)


def test_decoder_is_named_where_it_differs() -> None:
    frame = sweep()
    frame.loc[frame["variant"] == "vanilla", "decoder"] = "dilated-S"
    text = frontier_markdown(frame, entropy_floor=None)
    assert "| vanilla | decoder=dilated-S |" in text
    assert "language_model | decoder=lstm |" in text
    assert "annealed | anneal_delay" in text
    frame.loc[frame["variant"] == "vanilla", "knobs"] = "decoder=dilated dilation=S"
    assert "| vanilla | decoder=dilated dilation=S |" in frontier_markdown(frame, entropy_floor=None)


def test_baselines_that_nothing_shown_is_compared_with_are_left_out() -> None:
    rows = [("language_model", "baseline", "", 13.7 + i, 0.0, f"dilated-{d}") for i, d in enumerate("SML")]
    rows += [("annealed", "trial", "k=1", 13.0, 2.0, "dilated-M")]
    frame = pd.DataFrame(
        [
            {"trial_id": str(index), "variant": variant, "kind": kind, "decoder": decoder, "seed": 0,
             "knobs": knobs, "nll": total - kl, "kl": kl, "nll_plus_kl": total}
            for index, (variant, kind, knobs, total, kl, decoder) in enumerate(rows)
        ]
    )  # fmt: skip
    table = configurations(frame, {})
    text = frontier_markdown(table, entropy_floor=None)
    assert "• language_model | decoder=dilated-S" in text  # on the frontier
    assert "language_model | decoder=dilated-M" in text
    assert "dilated-L" not in text
    assert "dilated-L" in frontier_markdown(table, entropy_floor=None, all_rows=True)
    alone = table[table["variant"] == "language_model"]
    assert "dilated-L" in frontier_markdown(alone, entropy_floor=None)


def test_the_effort_of_the_iw_nll_is_stated_as_far_as_it_is_known() -> None:
    some = sweep().assign(iw_samples=[500.0, 100.0, 500.0, 500.0])
    caption = frontier_markdown(some, entropy_floor=0.0).splitlines()[-1]
    assert "; IW-NLL: 100 to 500 samples of z, 1,200 test sentences" in caption
    unknown = dict.fromkeys(("iw_nll", "iw_nll_se", "iw_samples", "iw_sentences"), math.nan)
    text = frontier_markdown(sweep().assign(**unknown), entropy_floor=0.0)
    assert "IW-NLL:" not in text
    assert "| 11.80 | – | 2.70 |" in text


def test_without_baseline_the_difference_is_a_dash() -> None:
    frame = sweep(with_baseline=False)
    assert "| 11.80 | 11.55 | 2.70 | 6 | – | 3 |" in frontier_markdown(frame, entropy_floor=None)
    assert all(
        "cannot be compared: there is no baseline with its decoder, lstm" in line for line in verdicts(frame)
    )
    assert "–" in shown(frame, 80)


def test_no_finished_runs() -> None:
    empty = configurations(pd.DataFrame(), {})
    assert "no finished runs" in shown(empty, 80)
    assert "No finished runs." in frontier_markdown(empty, entropy_floor=None)
    assert verdicts(empty) == []


def test_csv_holds_every_column_unrounded(tmp_path: Path) -> None:
    frame = sweep()
    write_csv(frame, tmp_path / "out" / "frontier.csv")
    read = pd.read_csv(tmp_path / "out" / "frontier.csv", keep_default_na=True)
    assert list(read.columns) == list(COLUMNS)
    assert read["gain_se"].tolist() == pytest.approx(frame["gain_se"].tolist(), rel=1e-12, nan_ok=True)


def test_wording() -> None:
    assert [number(v) for v in (1.234, -1.5, -0.001, math.nan, math.inf)] == [
        "1.23",
        "−1.50",
        "0.00",
        "–",
        "–",
    ]
    assert [signed(v) for v in (0.014, -0.014, 0.001, math.nan)] == ["+0.01", "−0.01", "0.00", "–"]
    assert difference(-1.9312, 0.0042) == "−1.931 ± 0.004"
    assert difference(-1.9312, math.nan) == "−1.93 ± –"
    assert difference(math.nan, math.nan) == "–"
    assert [thousands(v) for v in (0, 940, 999.6, 12_345, 1.234e6, 5e9)] == [
        *("0", "940", "1000", "12.3k", "1.23M", "5G"),
    ]
    assert difference(-1e30, 2e6) == "−1.00e+30 ± 2.00e+06"
