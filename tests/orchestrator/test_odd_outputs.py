"""Every command, where its output is closed, full, without a reader, slow, narrow, dumb and not UTF-8."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import pytest

from tests import sweep_process
from tests.orchestrator.comparison_sweeps import sweep_results
from tests.orchestrator.database import sqlite_uri
from tests.orchestrator.running.test_odd_machines import TINY
from tests.orchestrator.stored_sweeps import store
from tests.paths import ROOT


@dataclass(frozen=True)
class Place:
    """Where output goes, and the status of a command that would else end with 0."""

    redirect: str
    status: int = 0
    shown: bool = False


PLACES = {
    "closed": Place(">&-"),
    "full": Place("> /dev/full", 1),
    "nobody reads": Place("| true"),
    "slow": Place("| (sleep 4; cat)", shown=True),
    "pipe": Place("| cat", shown=True),
}
ODD = {
    "PYTHONIOENCODING": "latin-1",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "COLUMNS": "20",
    "OMP_NUM_THREADS": "1",
}
COMMANDS = [
    f"orchestrator.{command} --help"
    for command in ("sweep", "report", "reproduce", "train", "posterior_means")
] + [
    "trainables.train --help",
    "trainables.train --variant vanilla --corpus text.txt --epochs 1 --set hidden_size=8",
    "orchestrator.sweep spec.yaml --dry-run",
    "orchestrator.report a b",
    "orchestrator.report a --format md --output out.md",
]


ALL_PLACES = ("orchestrator.sweep --help", "trainables.train --help", "orchestrator.report a b")
"""One that only prints, one on torch alone, one that works before it prints; all commands print by the same
code, so that for each of the others two places do, in turns."""


def _tried() -> Iterator[tuple[str, str]]:
    turns = cycle(PLACES)
    for command in COMMANDS:
        for place in PLACES if command in ALL_PLACES else islice(turns, 2):
            yield command, place


@pytest.mark.slow
@pytest.mark.parametrize(("command", "where"), list(_tried()))
def test_a_command_ends_as_it_should(command: str, where: str, tmp_path: Path) -> None:
    place = PLACES[where]
    sweep_process.write_corpus(tmp_path / "text.txt")
    (tmp_path / "spec.yaml").write_text(TINY.format(epochs=1))
    if "report a" in command:
        for number, name in enumerate("ab"):
            results = sweep_results(13.0, 11.5, noise=0.05, vanilla=True, seed=number)
            store(sqlite_uri(tmp_path), name, results, start_ms=1 + number)
    done = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$0" -m {command} {place.redirect}', sys.executable],
        cwd=tmp_path, env={**os.environ, **ODD, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == place.status, done.stderr.decode("latin-1")
    assert b"Traceback" not in done.stderr
    assert bool(done.stdout.strip()) == place.shown
    if "--output" in command:
        assert "vanilla" in (tmp_path / "out.md").read_text(encoding="utf-8")
