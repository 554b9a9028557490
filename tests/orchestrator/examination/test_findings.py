"""Findings on their way into results, MLflow and the page of texts."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from rich.console import Console

from orchestrator.analysis.results import TrialResult
from orchestrator.examination.examined import Examined, keep
from orchestrator.examination.findings import Findings
from orchestrator.examination.pages import Page, write_page, write_tables
from orchestrator.examination.probe import Probe
from orchestrator.examination.view import ExaminationView
from orchestrator.reports.sweep_report import Report
from orchestrator.search.trial_plan import Kind, TrialPlan
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.evaluation.texts import Decoded, PriorSample, Reconstruction, Texts, Waypoint
from trainables.text.grammar import embedded_corpus

if TYPE_CHECKING:
    from tests.orchestrator.tracking_fixtures import Open, Reader

CORPUS = embedded_corpus(0, (20, 5, 4))
ALIKE = Decoded("a b", "c | d", "a b")
TEXTS = Texts(
    [PriorSample("", ALIKE), PriorSample("", Decoded("", "<unk> *", "x_y _z_"))],
    [Reconstruction("kitchen", "in the <unk>", ALIKE)],
    [
        Waypoint("one", "two", share, Decoded(said, "s", "b"))
        for share, said in ((0.0, "same"), (0.5, "same"), (1.0, "other"))
    ],
)
PROBE = Probe(0.93, 0.125, 0.5, 0.4321, 900, 300)


def result(trial_id: str, variant: str, kind: Kind, total: float, kl: float) -> TrialResult:
    figures = {"nll": total - kl, "kl": kl, "nll_plus_kl": total, "active_units": 1.0, "iw_nll": total}
    final = {f"test/{name}": value for name, value in figures.items()}
    losses_N = np.full(4, total, np.float32)
    return TrialResult(trial_id, TrialPlan(variant, kind, {}, int(trial_id[1])), final, {}, losses_N)


RESULTS = [
    result("b0", "language_model", "baseline", 13.0, 0.0),
    result("v0", "vanilla", "trial", 12.0, 2.0),
    result("v1", "vanilla", "trial", 12.2, 2.0),
]
EXAMINED = [
    Examined("b0", 500, 4, (13.0, 12.0, 14.0, 13.0), (0, 1, 2, 3)),
    Examined("v0", 500, 4, (11.0, 10.0, 12.0, 11.0), (0, 1, 2, 3), TEXTS, PROBE),
]


@pytest.fixture
def findings(tmp_path: Path) -> Findings:
    spec = SweepSpec(storage=tmp_path, name="s", epochs=7, final_iw_sentences=None)
    spec.folder.mkdir()
    for examined in EXAMINED:
        keep(spec.folder, examined)
    return Findings.of(spec, CORPUS)


def test_examined_figures_take_the_place_of_the_trials_own(findings: Findings) -> None:
    baseline, first, second = findings.into(RESULTS)
    assert (baseline.final["test/iw_nll"], baseline.final["test/iw_samples"]) == (13.0, 500)
    assert (first.final["test/iw_nll"], first.final["test/nll_plus_kl"]) == (11.0, 12.0)
    assert first.final["probe/nmi"] == 0.4321
    assert first.iw_losses_N is not None
    assert first.iw_losses_N.tolist() == [11.0, 10.0, 12.0, 11.0]
    assert second is RESULTS[2]
    runs = Report.of("s", [baseline, first], None).runs.set_index("trial_id")
    assert runs.loc["v0", ["iw_nll", "iw_samples", "iw_sentences"]].tolist() == [11.0, 500.0, 4.0]
    (row,) = [
        row for row in Report.of("s", [baseline, first], None).configurations.itertuples()
        if row.variant == "vanilla"
    ]  # fmt: skip
    assert (row.iw_gain, row.iw_gain_se) == (2.0, 0.0)  # the same on every sentence, and one seed a side


def test_what_failed_later_stays_failed(findings: Findings) -> None:
    failed = TrialResult("v0", RESULTS[1].plan, {}, {}, failure="diverged")
    assert findings.into([failed]) == [failed]


def test_mlflow_has_the_figures_and_the_tables(
    findings: Findings, opened: Open, reader: Reader, tmp_path: Path
) -> None:
    from tests.orchestrator.tracking_fixtures import delivered

    tracker = opened()
    tracker.start_sweep()
    for run in RESULTS:
        tracker.start_trial(run.trial_id, run.plan)
        tracker.log_metrics(run.trial_id, {"test/iw_nll": 99.0, "test/iw_samples": 100}, 7)
        tracker.end_trial(run.trial_id, "FINISHED")
    report = Report.of("s", findings.into(RESULTS), None)
    (page,) = findings.publish(report, tracker)
    assert page.name == "texts.md"
    assert delivered(tracker, 60)
    tracker.close(10)
    again = opened()  # as after a resume: nothing is logged twice
    again.start_sweep()
    findings.publish(report, again)
    assert delivered(again, 60)
    assert reader.history("v0", "test/iw_nll") == [(7, 99.0), (8, 11.0)]
    assert reader.history("v1", "test/iw_nll") == [(7, 99.0)]
    run = reader.trials()["v0"]
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test/iw_samples"] == 500
    assert run.data.metrics["probe/accuracy"] == 0.93
    tagged = json.loads(run.data.tags["mlflow.loggedArtifacts"])
    for name, columns in (
        ("samples", ["greedy", "sample", "beam"]),
        ("reconstructions", ["label", "sentence", "greedy", "sample", "beam"]),
        ("interpolations", ["first", "second", "share", "greedy", "sample", "beam"]),
    ):
        file = reader.client.download_artifacts(run.info.run_id, f"{name}.json", str(tmp_path))
        table = json.loads(Path(file).read_text(encoding="utf-8"))
        assert table["columns"] == columns
        assert len(table["data"]) == {"samples": 2, "reconstructions": 1, "interpolations": 3}[name]
        assert {"path": f"{name}.json", "type": "table"} in tagged
    assert "mlflow.loggedArtifacts" not in reader.trials()["v1"].data.tags


def test_tables_without_rows_are_left_out(tmp_path: Path) -> None:
    texts = Texts([PriorSample("kitchen", ALIKE)], [], [])
    (path,) = write_tables(tmp_path, Examined("t", 500, 1, (1.0,), (0,), texts))
    assert json.loads(path.read_text()) == {
        "columns": ["label", "greedy", "sample", "beam"],
        "data": [["kitchen", "a b", "c | d", "a b"]],
    }
    assert write_tables(tmp_path, Examined("u", 500, 1, (1.0,), (0,))) == []


def test_the_page_of_texts(tmp_path: Path, findings: Findings) -> None:
    (first,) = [run for run in findings.into(RESULTS) if run.trial_id == "v0"]
    path = write_page(tmp_path, "a_sweep", [Page(first.plan, first.final, EXAMINED[1])])
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Texts of a_sweep\n")
    for line in (
        "| vanilla seed 0 | 93 % | 50 % | 0.43 |",
        "## vanilla seed 0",
        "NLL 10.00 + KL 2.00 = 12.00, IW-NLL 11.00 nats per sentence (500 samples of z, 4 test sentences)",
        "1. *greedy, beam*: a b",
        "    - *sample*: c \\| d",
        "2. *greedy*: (nothing)",
        "    - *sample*: \\<unk\\> \\*",
        r"    - *beam*: x_y \_z\_",
        "1. **kitchen:** in the \\<unk\\>",
        "| *sentence* | one |",
        "| 0 % – 50 % | same |",
        "| 100 % | other |",
    ):
        assert line in text.splitlines()
    assert "right for 12 %" in text


def test_a_bar_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with ExaminationView(console, 2) as view:
        view.done(RESULTS[1].plan, EXAMINED[1])
        view.failed(RESULTS[0].plan, "it left no checkpoint")
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "not examined: language_model lstm seed 0 keeps its figures: it left no checkpoint" in text
    assert "2/2" in text
    assert "examined [" not in text
