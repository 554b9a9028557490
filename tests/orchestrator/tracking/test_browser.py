"""What a sweep's links show in a real browser: the comparison view, and the note above the sweep's run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import pytest

from orchestrator.tracking.server.links import run_page
from orchestrator.tracking.server.version import knows_view
from orchestrator.tracking.shown.trial import run_colour
from tests import sweep_process
from tests.orchestrator import browser
from tests.orchestrator.browser import OUTPUT, Browser, Chart
from tests.orchestrator.database import sqlite_uri
from tests.orchestrator.tracking_fixtures import Reader, free_port, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.missing() is not None, reason=str(browser.missing())),
]

SPEC = """
corpus: text.txt
variants:
  cyclical:
  free_bits:
  annealed:
    knobs: {schedule: constant, beta: 1.0e+300}
trials: 3
epochs: 3
baseline_seeds: 2
replicates: 2
max_replicates: 2
search: {kl_floor: 0}
max_concurrent: 2
final_iw_samples: 20
final_iw_sentences: 5
knobs: {hidden_size: 16, embedding_size: 8, latent_size: 4, batch_size: 8}
"""
TALL = 4000
"""Charts are drawn when they are in sight: all of them in a page of so many pixels."""


@dataclass(frozen=True)
class Shown:
    """A finished sweep whose database a server shows at `address`; `links` are those that it printed."""

    address: str
    links: dict[str, str]
    reader: Reader
    trials: pd.DataFrame

    @property
    def judged(self) -> pd.DataFrame:
        """The trials that have figures."""
        return self.trials[self.trials["nll_plus_kl"].notna()]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("browsed")
    sweep_process.write_corpus(folder / "text.txt")
    (folder / "spec.yaml").write_text(SPEC)
    done = sweep_process.Sweep(folder).run("spec.yaml", "--name", "s")
    assert (done.returncode, done.stderr) == (0, "")
    links = dict(re.findall(r"^  (compare|runs): http://127\.0\.0\.1:5000(/\S+)$", done.stdout, re.MULTILINE))
    reader = Reader(sqlite_uri(folder))
    port = free_port()
    with running(
        "server", "--workers", "1", "--backend-store-uri", sqlite_uri(folder), folder=folder, port=port
    ):
        trials = pd.read_csv(folder / "sweeps" / "s" / "trials.csv")
        yield Shown(f"http://127.0.0.1:{port}", links, reader, trials)


@pytest.fixture(scope="module")
def page() -> Iterator[Browser]:
    with browser.browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def charts(shown: Shown, page: Browser) -> dict[str, list[Chart]]:
    """The cards of the comparison view by title, at one click on the printed link."""
    page.open(shown.address + shown.links["compare"])
    page.wait(lambda: [chart for chart in page.charts() if chart.traces])
    page.settled()
    page.save(OUTPUT / "comparison.png")
    page.resize(1600, TALL)
    page.wait(lambda: [trace for chart in page.charts() for trace in chart.traces if trace.kind == "contour"])
    page.settled()
    page.save(OUTPUT / "comparison_whole.png")
    found: dict[str, list[Chart]] = {}
    for chart in page.charts():
        found.setdefault(chart.title, []).append(chart)
    return found


def test_the_server_knows_the_view(shown: Shown) -> None:
    assert knows_view(shown.address)


def test_every_trial_is_a_point(shown: Shown, charts: dict[str, list[Chart]]) -> None:
    assert len(shown.judged) == 2 + 5 + 5  # baselines, trials and replicates of two variants
    assert len(shown.trials) == len(shown.judged) + 3  # one variant's diverged
    (chart,) = charts["test/kl vs. test/nll"]
    (trace,) = chart.traces
    assert trace.points == len(shown.judged)
    variants = {run.data.tags["variant"] for run in shown.reader.trials().values()} - {"annealed"}
    known = {run_colour(variant, on_frontier=here): variant for variant in variants for here in (True, False)}
    counts = pd.Series([known[colour] for colour in trace.colours]).value_counts()
    assert counts.to_dict() == shown.judged["variant"].value_counts().to_dict()


def test_curves_over_the_epochs(shown: Shown, charts: dict[str, list[Chart]]) -> None:
    ids = {trial_id: run.info.run_id for trial_id, run in shown.reader.trials().items()}
    trained = {ids[trial_id] for trial_id in shown.judged["trial_id"]}
    for name in ("kl", "mutual_information", "nll", "nll_plus_kl"):
        (chart,) = charts[name]
        assert chart.runs >= trained
        assert {trace.points for trace in chart.traces if trace.run in trained} == {3}


def test_knobs_in_parallel_coordinates_and_as_a_contour(charts: dict[str, list[Chart]]) -> None:
    axes = [chart.axes for chart in charts["Parallel Coordinates"]]
    assert [labels[0] for labels in axes] == ["variant", "cyclical/kind", "free_bits/kind"]
    assert axes[1][1:4] == ["cycles", "ramp_share", "word_keep_rate"]
    assert axes[2][1:4] == ["free_bits", "free_bits_of", "posterior_bias"]
    assert all(labels[-1].startswith("test/n") for labels in axes)
    (contour,) = charts["cycles vs. ramp_share vs. test/nll_plus_kl"]
    assert [(trace.kind, trace.points) for trace in contour.traces] == [("contour", 5), ("scatter", 5)]
    (over,) = charts["free_bits vs. test/nll_plus_kl"]
    assert sum(trace.points for trace in over.traces) >= 5


def test_the_note_leads_to_the_runs(shown: Shown, page: Browser) -> None:
    parent = shown.reader.parent().info
    page.resize(1600, 1200)
    page.open(f"{shown.address}/{run_page(parent.experiment_id, parent.run_id)}")
    page.wait(lambda: browser.unfold(page))
    page.settled()
    place = "document.querySelector('[data-testid=note-editor-preview-content]')"
    widths = f"return [...{place}.querySelectorAll('img')].map(img => img.naturalWidth)"
    page.wait(lambda: page.run(widths) not in ([], [0]))  # the picture comes from the server after the page
    page.save(OUTPUT / "note.png")
    assert page.run(widths) == [816]
    rows = page.run(
        f"return [...{place}.querySelectorAll('tbody tr')].map(row => "
        "[row.querySelector('a').innerText, row.querySelector('a').href])"
    )
    assert {name for name, _ in rows} == {"language_model", "cyclical", "free_bits", "annealed"}
    for name, address in rows:
        page.open(address)
        page.wait(lambda: "Parameters (" in page.run("return document.body.innerText"))
        assert name in page.run("return document.querySelector('h1, h2, h3').innerText")
