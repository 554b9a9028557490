"""Examinations in real Ray tasks: what is found, what is missing, who dies, who is interrupted."""

from __future__ import annotations

import io
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import ray
import torch
from rich.console import Console

from orchestrator.analysis.results import TrialResult
from orchestrator.examination.examined import FOLDER, kept
from orchestrator.examination.examiner import Examiner
from orchestrator.reports.sweep_report import Report
from orchestrator.search.trial_plan import Kind, TrialPlan
from orchestrator.spec.sweep_spec import SweepSpec
from tests.sweep_process import processes_below
from trainables.checkpoints import CHECKPOINT, Checkpoint, LocalCheckpoint
from trainables.evaluation.importance_weighting import importance_weighted_nll
from trainables.model.text_vae import TextVAE
from trainables.text.grammar import embedded_corpus

pytestmark = pytest.mark.slow

CORPUS = embedded_corpus(0, (64, 8, 12))
SIZES = {"embedding_size": 5, "hidden_size": 6, "latent_size": 2}
Checkpoints = dict[str, Checkpoint | None]


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def result(trial_id: str, variant: str, kind: Kind, seed: int, total: float, kl: float) -> TrialResult:
    final = {"test/nll": total - kl, "test/kl": kl, "test/nll_plus_kl": total}
    plan = TrialPlan(variant, kind, SIZES, seed)
    return TrialResult(trial_id, plan, final, {}, np.full(12, total, np.float32))


RESULTS = [
    result("b0", "language_model", "baseline", 0, 50.0, 0.0),
    result("b1", "language_model", "baseline", 1, 50.1, 0.0),
    result("v0", "vanilla", "trial", 0, 49.0, 1.0),
    result("v1", "vanilla", "trial", 1, 49.1, 1.0),
]
REPORT = Report.of("a sweep", RESULTS, None)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    """Weights as trials leave them, from a seed that is the trial's own."""
    found: Checkpoints = {}
    for number, run in enumerate(RESULTS):
        torch.manual_seed(number)
        weights = TextVAE(run.plan.build(), len(CORPUS.vocabulary)).state_dict()
        folder = tmp_path / run.trial_id
        folder.mkdir()
        torch.save({"best_weights": weights}, folder / CHECKPOINT)
        found[run.trial_id] = LocalCheckpoint(str(folder))
    return found


def examiner(tmp_path: Path, samples: int = 4, concurrency: int = 2) -> Examiner:
    """All samples are drawn, so that an interruption is in time."""
    (tmp_path / "s").mkdir(exist_ok=True)
    spec = SweepSpec(
        storage=tmp_path,
        name="s",
        final_iw_samples=samples,
        final_iw_sentences=10,
        final_iw_tolerance=0.0,
    )
    return Examiner(spec, CORPUS, concurrency)


def examine(by: Examiner, checkpoints: Checkpoints, report: Report = REPORT) -> list[str]:
    """The lines that it prints."""
    console = Console(file=io.StringIO(), width=200)
    try:
        by.examine(report, checkpoints, console)
    finally:
        assert isinstance(console.file, io.StringIO)
        lines = console.file.getvalue().splitlines()
    return lines


def kill_examiners(times: int) -> threading.Thread:
    """Kills so many processes that examine, as soon as there are any."""

    def work() -> None:
        killed: set[int] = set()
        end = time.monotonic() + 60
        while len(killed) < times and time.monotonic() < end:
            for pid, command in processes_below(os.getpid()).items():
                if command.startswith("ray::examine_checkpoint") and pid not in killed:
                    killed.add(pid)
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_the_runs_that_matter_are_examined_once(tmp_path: Path, checkpoints: Checkpoints) -> None:
    by = examiner(tmp_path)
    lines = examine(by, checkpoints)
    assert [line[:14] for line in lines] == [f"examined [{number}/4]" for number in range(1, 5)]
    assert lines[0].endswith(", estimating the time left")
    assert all(" s left" in line for line in lines[1:-1])
    assert lines[-1].endswith(", done")
    found = kept(by.spec, CORPUS)
    assert set(found) == {"b0", "b1", "v0", "v1"}
    for number, run in enumerate(RESULTS):
        torch.manual_seed(number)
        model = TextVAE(run.plan.build(), len(CORPUS.vocabulary))
        cpu = torch.device("cpu")
        expected = importance_weighted_nll(model, CORPUS.test, cpu, samples=4, sentences=10)
        assert found[run.trial_id].iw_nll_N == pytest.approx(expected.iw_nll_N, rel=1e-5)
        assert (found[run.trial_id].texts is not None) == (run.trial_id == "v0")
        assert (found[run.trial_id].probe is not None) == (run.trial_id == "v0")
    for run in RESULTS:  # nothing is loaded again
        shutil.rmtree(tmp_path / run.trial_id)
    assert examine(by, checkpoints) == []


def test_all_sentences_are_taken_where_some_were_too_few(tmp_path: Path, checkpoints: Checkpoints) -> None:
    """Seeds that agree to a thousandth, and a gain of 1 on sentences that vary by 10."""
    by = examiner(tmp_path)
    examine(by, checkpoints)
    assert {len(found.iw_nll_N) for found in kept(by.spec, CORPUS).values()} == {10}
    noise_N = np.resize([10.0, -10.0], len(CORPUS.test))
    results = [
        replace(
            run, iw_losses_N=50.0 + run.plan.seed / 1000 - (run.plan.variant == "vanilla") * (1 + noise_N)
        )
        for run in RESULTS
    ]
    report = Report.of("a sweep", results, None)
    lines = examine(by, checkpoints, report)
    assert [line[:14] for line in lines] == [f"examined [{number}/4]" for number in range(1, 5)]
    found = kept(by.spec, CORPUS)
    assert {len(each.iw_nll_N) for each in found.values()} == {len(CORPUS.test)}
    assert found["v0"].texts is not None
    assert examine(by, checkpoints, report) == examine(by, checkpoints) == []


def test_a_missing_checkpoint_is_said(tmp_path: Path, checkpoints: Checkpoints) -> None:
    (tmp_path / "v1" / CHECKPOINT).unlink()
    by = examiner(tmp_path)
    lines = examine(by, checkpoints | {"b1": None})
    assert set(kept(by.spec, CORPUS)) == {"b0", "v0"}
    (gone,) = [line for line in lines if line.startswith("not examined: vanilla seed 1 keeps its figures: ")]
    assert gone.endswith(f"'{tmp_path / 'v1' / CHECKPOINT}'")
    assert "not examined: language_model lstm seed 1 keeps its figures: it left no checkpoint" in lines


def test_a_checkpoint_of_something_else_is_said(tmp_path: Path, checkpoints: Checkpoints) -> None:
    by = examiner(tmp_path)
    lines = examine(by, checkpoints | {"v0": checkpoints["b0"]})
    assert set(kept(by.spec, CORPUS)) == {"b0", "b1", "v1"}
    assert sum(line.startswith("not examined: vanilla seed 0 keeps its figures: ") for line in lines) == 1


def test_a_worker_that_dies_is_replaced(tmp_path: Path, checkpoints: Checkpoints) -> None:
    by = examiner(tmp_path, samples=6_000)
    killer = kill_examiners(1)
    lines = examine(by, checkpoints)
    killer.join()
    assert set(kept(by.spec, CORPUS)) == {"b0", "b1", "v0", "v1"}
    assert len(lines) == 4


def test_an_interruption_keeps_what_is_found(tmp_path: Path, checkpoints: Checkpoints) -> None:
    by = examiner(tmp_path, samples=4_000, concurrency=1)

    def interrupt() -> None:
        end = time.monotonic() + 60
        while not list((by.spec.folder / FOLDER).glob("*.json")) and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        examine(by, checkpoints)
    thread.join()
    early = kept(by.spec, CORPUS)
    assert 1 <= len(early) < 4
    lines = examine(by, checkpoints)
    assert len(lines) == 4 - len(early)
    assert kept(by.spec, CORPUS).items() >= early.items()
    assert len(kept(by.spec, CORPUS)) == 4
