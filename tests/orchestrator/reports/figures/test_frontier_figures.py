from __future__ import annotations

import json
import math
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from orchestrator.analysis.frontier import configurations
from orchestrator.reports.figures.frontier_html import frontier_figure
from orchestrator.reports.figures.frontier_png import draw, frontier_png
from orchestrator.reports.figures.frontier_view import View, view
from orchestrator.reports.figures.page import Section, page

FLOOR = 10.57
Row = tuple[str, str, str, int, str, float, float]


def table(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"trial_id": f"{index:05d}", "variant": variant, "kind": kind, "decoder": decoder, "seed": seed,
             "knobs": knobs, "nll": total - kl, "kl": kl, "nll_plus_kl": total,
             "mutual_information": 0.9 * kl, "active_units": 3}
            for index, (variant, kind, decoder, seed, knobs, total, kl) in enumerate(rows)
        ]
    )  # fmt: skip


def sweep(*more: Row) -> pd.DataFrame:
    rows: list[Row] = [("language_model", "baseline", "lstm", s, "", 13.6 + 0.1 * s, 0.0) for s in range(3)]
    rows += [("vanilla", "trial", "lstm", s, "", 13.5 + 0.1 * s, 0.001) for s in range(3)]
    rows += [
        ("annealed", "trial", "lstm", 42, f"anneal_delay={d}", 11.6 + 0.2 * d, 3.0 - 0.3 * d)
        for d in range(6)
    ]
    rows += [("annealed", "replicate", "lstm", s, "anneal_delay=0", 11.7 + 0.1 * s, 3.0) for s in range(3)]
    rows += [("cyclical", "trial", "lstm", 42, "cycles=4", 13.9, 1.0)]
    return table([*rows, *more])


def analysed(runs: pd.DataFrame, floor: float | None = FLOOR) -> pd.DataFrame:
    losses = {}
    if not runs.empty:
        losses = {str(r["trial_id"]): np.full(10, float(r["nll_plus_kl"])) for _, r in runs.iterrows()}
    return configurations(runs, losses, entropy_floor=floor)


def seen(runs: pd.DataFrame, floor: float | None = FLOOR) -> View:
    return view(analysed(runs, floor), runs, entropy_floor=floor)


def test_what_is_shown() -> None:
    shown = seen(sweep())
    assert len(shown.dots) == 13
    assert shown.baselines == {"lstm": pytest.approx(13.7)}
    assert shown.labels == {
        "annealed": "annealed −1.90 ± 0.08",
        "vanilla": "vanilla −0.10 ± 0.08",
        "cyclical": "cyclical +0.20 ± 0.12",
    }
    assert list(shown.labels) == ["annealed", "vanilla", "cyclical"]
    assert shown.floor_band is not None
    assert list(shown.floor_band) == pytest.approx([10.57 - 13.7, 10.57 - 13.7])
    replicated = shown.marks[shown.marks["kind"] == "replicate"].iloc[0]
    assert replicated["delta"] == pytest.approx(-1.9)
    assert shown.frontier["kl"].is_monotonic_increasing
    assert shown.notes == []


def test_diverged_runs_do_not_squash_the_picture() -> None:
    usual = seen(sweep())
    shown = seen(
        sweep(
            ("annealed", "trial", "lstm", 42, "anneal_delay=90", 200.0, 10.0),
            (
                "cyclical",
                "trial",
                "lstm",
                42,
                "cycles=9",
                909.0,
                900.0,
            ),  # on the frontier: the lowest NLL but one
            ("cyclical", "trial", "lstm", 42, "cycles=8", math.nan, math.nan),
        )
    )
    assert (shown.kl_limits, shown.nll_limits) == (usual.kl_limits, usual.nll_limits)
    assert shown.delta_limits == usual.delta_limits
    assert shown.notes == ["2 runs outside the axes", "1 run without finite figures"]


def test_most_runs_diverged_do_not_squash_the_picture() -> None:
    far: list[Row] = [("cyclical", "trial", "lstm", 42, f"cycles={c}", 10.0**c, 1.0) for c in range(4, 34)]
    shown = seen(sweep(*far))
    assert (shown.kl_limits, shown.nll_limits) == (seen(sweep()).kl_limits, (8.294, pytest.approx(14.006)))
    assert shown.notes == ["30 runs outside the axes"]


_BASELINE: Row = ("language_model", "baseline", "lstm", 0, "", 13.7, 0.0)
_HUGE: dict[str, list[Row]] = {
    "one run": [_BASELINE, ("annealed", "trial", "lstm", 42, "a=1", 1e30, 3.0)],
    "most runs": [_BASELINE, *(("annealed", "trial", "lstm", 42, f"a={a}", 1e38, 3.0) for a in range(3))],
    "KL": [_BASELINE, ("annealed", "trial", "lstm", 42, "a=1", 1e30, 1e30)],
    "replicates": [_BASELINE, *(("annealed", "replicate", "lstm", s, "a=1", 1e30 * s, 3.0) for s in (1, 2))],
    "one of the replicates": [
        _BASELINE,
        *(("annealed", "replicate", "lstm", s, "a=1", 10.0 ** (30 * s), 3.0) for s in (0, 1)),
        *(("cyclical", "replicate", "lstm", s, "a=1", 12.0 + s, 3.0) for s in (0, 1)),
    ],
    "no baseline": [("annealed", "trial", "lstm", 42, "a=1", 1e30, 3.0)],
    "the baseline": [
        ("language_model", "baseline", "lstm", 0, "", 1e30, 0.0),
        ("annealed", "trial", "lstm", 42, "a=1", 12.0, 3.0),
    ],
    "baseline alone": [("language_model", "baseline", "lstm", 0, "", 1e30, 0.0)],
}


def html(configurations: pd.DataFrame, runs: pd.DataFrame, title: str, floor: float | None) -> str:
    figure = frontier_figure(configurations, runs, title=title, entropy_floor=floor)
    return page([Section("frontier", figure)], title=title)


@pytest.mark.parametrize("case", _HUGE)
def test_huge_figures_draw_without_warnings(case: str, tmp_path: Path) -> None:
    runs = table(_HUGE[case])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        configurations = analysed(runs)
        frontier_png(configurations, runs, title="t", entropy_floor=FLOOR, path=tmp_path / "frontier.png")
        html(configurations, runs, "t", FLOOR)
    shown = seen(runs)
    assert all(abs(limit) < 1e3 for limit in (*shown.kl_limits, *shown.nll_limits))


def test_limits_hold_all_that_matters() -> None:
    shown = seen(sweep())
    assert shown.kl_limits[0] < 0.0 < 3.0 < shown.kl_limits[1] < 3.5
    assert shown.nll_limits[0] < 8.6 < 13.8 < shown.nll_limits[1] < 14.5
    assert shown.delta_limits[0] < 10.57 - 13.7 < 0.2 < shown.delta_limits[1] < 1.5


def test_where_all_has_collapsed_no_kl_below_0_is_shown() -> None:
    shown = seen(table([_BASELINE, ("annealed", "trial", "lstm", 42, "a=1", 13.6, 0.02)]))
    assert shown.kl_limits == pytest.approx((-0.06 * 0.26, 0.26))  # 0.01 ± 0.25, and what lies left of 0


CASES: dict[str, tuple[pd.DataFrame, float | None]] = {
    "usual": (sweep(), FLOOR),
    "many decoders and variants": (
        sweep(
            *(("language_model", "baseline", f"dilated-{d}", 0, "", 13.7 + 0.1 * d, 0.0) for d in range(6)),
            *((f"further_{i}", "trial", f"dilated-{i % 6}", 0, "", 12.0 + 0.1 * i, 2.0) for i in range(12)),
        ),
        FLOOR,
    ),
    "no baseline": (table([("annealed", "trial", "lstm", 42, "anneal_delay=1", 12.0, 1.0)]), None),
    "baseline alone": (table([("language_model", "baseline", "lstm", 0, "", 13.7, 0.0)]), FLOOR),
    "every trial diverged": (
        table([("annealed", "trial", "lstm", 42, "anneal_delay=1", math.nan, 1.0)]),
        FLOOR,
    ),
    "no runs": (pd.DataFrame(), None),
}


@pytest.mark.parametrize("case", CASES)
def test_png(case: str, tmp_path: Path) -> None:
    runs, floor = CASES[case]
    path = tmp_path / "docs" / "frontier.png"
    frontier_png(analysed(runs, floor), runs, title="yelp, $5 & 100 %", entropy_floor=floor, path=path)
    pixels = image.imread(path)
    assert pixels.shape[1] == 1632
    assert pixels.shape[0] >= 1224
    assert 0.005 < float((pixels[:, :, :3] < 0.95).any(axis=2).mean()) < 0.3


@pytest.mark.parametrize("case", CASES)
def test_nothing_in_the_png_overlaps_or_leaves_the_page(case: str) -> None:
    runs, floor = CASES[case]
    figure = draw(seen(runs, floor), "a sweep")
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    panels = [axes.get_tightbbox() for axes in figure.axes]
    assert all(panel is not None and panel.x1 <= legend.x0 for panel in panels)
    assert figure.bbox.x0 <= legend.x0
    assert legend.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= legend.y0
    assert figure.axes[1].get_window_extent().y1 < figure.axes[0].get_window_extent().y0


def test_png_draws_the_iso_elbo_lines_and_the_steps() -> None:
    figure: Figure = draw(seen(sweep()), "a sweep")
    lines = {
        line.get_linestyle(): line
        for line in figure.axes[0].get_lines()
        if len(np.asarray(line.get_xdata())) > 1
    }
    floor = lines[":"]
    assert np.allclose(np.asarray(floor.get_xdata()) + np.asarray(floor.get_ydata()), FLOOR)
    dashed = lines["--"]
    assert np.allclose(np.asarray(dashed.get_xdata()) + np.asarray(dashed.get_ydata()), 13.7)
    assert any(line.get_drawstyle() == "steps-post" for line in figure.axes[0].get_lines())
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "annealed −1.90 ± 0.08" in texts
    assert "13.70 baseline, lstm" in texts
    assert "10.57 entropy floor" in texts


@pytest.mark.parametrize("case", CASES)
def test_html(case: str) -> None:
    runs, floor = CASES[case]
    text = html(analysed(runs, floor), runs, "<script>alert(1)</script> & co", floor)
    assert len(text) > 3_000_000  # the library is inside
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", text)
    assert "<title>&lt;script&gt;alert(1)&lt;/script&gt; &amp; co</title>" in text
    assert "<script>alert(1)" not in text
    assert ("no baseline to compare with" in text) == (
        case in ("no baseline", "every trial diverged", "no runs")
    )


def test_html_cannot_be_left_through_a_name() -> None:
    runs = sweep(("</script><script>alert(2)</script>", "trial", "lstm", 42, "a=</script>", 13.0, 0.5))
    text = html(analysed(runs), runs, "t", FLOOR)
    assert "<script>alert(2)" not in text
    assert text.count("</script>") == len(re.findall(r"<script[ >]", text))


def test_html_hover_is_text_and_not_markup() -> None:
    runs = sweep(("<b>x</b>", "trial", "lstm", 42, "dilation=<img> a=1", 13.0, 0.5))
    figure = json.loads(frontier_figure(analysed(runs), runs, title="t", entropy_floor=FLOOR).to_json())
    hovers = [text for trace in figure["data"] for text in trace.get("hovertext", [])]
    assert any("dilation=&lt;img&gt;<br>a=1<br>NLL 12.50 + KL 0.50 = 13.00 nats" in text for text in hovers)
    assert any("against the baseline −1.90 ± 0.08<br>mean of 3 fresh runs" in text for text in hovers)
    assert not any("<img>" in text for text in hovers)
    names = [trace["name"] for trace in figure["data"] if trace.get("name")]
    assert "annealed −1.90 ± 0.08" in names
    assert "&lt;b&gt;x&lt;/b&gt; −0.70 ± 0.12" in names
