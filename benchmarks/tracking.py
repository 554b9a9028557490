"""Logging a sweep to MLflow: the outbox beside Ray's MLflowLoggerCallback and plain `log_metric` calls.

    python -m benchmarks.tracking

Each measurement is a process of its own against a store made for it on loopback: SQLite, an MLflow server
with SQLite, one with PostgreSQL (where its server is installed). It takes a quarter of an hour or so; the
tables go to docs/benchmarks/tracking.md.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

from benchmarks.tracking_writers import METRICS
from tests.orchestrator.postgres import binaries, postgres
from tests.orchestrator.tracking_fixtures import free_port, running

TARGET = Path(__file__).parents[1] / "docs" / "benchmarks" / "tracking.md"
TRIALS, EPOCHS = 1000, 20
FEW_TRIALS, ROUNDS = 2, 3
RESULTS = 20_000
PEERS = {"outbox": "outbox", "ray": "Ray's callback", "log_metric": "plain `log_metric`"}


@dataclass(frozen=True)
class Measured:
    """One process's figures; `calls` in seconds."""

    seconds: float
    points: int
    memory_mb: float
    calls: Sequence[float]

    @property
    def rate(self) -> float:
        """Metric points a second."""
        return self.points / self.seconds

    def call_ms(self, share: float) -> float:
        """That quantile of the calls' milliseconds."""
        return 1000 * sorted(self.calls)[min(len(self.calls) - 1, int(share * len(self.calls)))]


def measure(way: str, uri: str, trials: int, epochs: int, **environment: str) -> Measured:
    command = [sys.executable, "-m", "benchmarks.tracking_writers", way, uri, str(trials), str(epochs)]
    done = subprocess.run(
        command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


@contextmanager
def sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{folder}/mlflow.db"


@contextmanager
def server(database: AbstractContextManager[str] | None = None) -> Iterator[str]:
    """An MLflow server; with SQLite in WAL mode unless told otherwise."""
    with tempfile.TemporaryDirectory() as place, database or nullcontext(None) as store:
        folder, port = Path(place), free_port()
        store = store or f"sqlite:///{folder}/mlflow.db"
        if store.startswith("sqlite"):
            subprocess.run([sys.executable, "-m", "mlflow", "db", "upgrade", store], check=True,
                           capture_output=True)  # fmt: skip
            subprocess.run([sys.executable, "-c", _WAL, store.removeprefix("sqlite:///")], check=True)
        arguments = ("--backend-store-uri", store, "--artifacts-destination", str(folder / "files"))
        with running("server", "--workers", "2", *arguments, folder=folder, port=port):
            yield f"http://127.0.0.1:{port}"


_WAL = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA journal_mode=WAL')"


def stores() -> dict[str, Callable[[], AbstractContextManager[str]]]:
    found: dict[str, Callable[[], AbstractContextManager[str]]] = {
        "SQLite": sqlite,
        "server, SQLite": server,
    }
    if binaries() is not None:
        found["server, PostgreSQL"] = lambda: server(postgres())
    return found


def drain() -> Iterator[str]:
    """The outbox drained into each store."""
    yield from (
        f"## {TRIALS:,} trials of {EPOCHS} epochs of {METRICS} metrics, drained\n",
        "From the first call to the last point's arrival. Memory is the process's peak beyond its imports.\n",
        "| store | seconds | points / s | memory, MB | call, ms: median | 99 % | most |",
        "|---|---:|---:|---:|---:|---:|---:|",
    )
    for name, store in stores().items():
        with store() as uri:
            found = measure("outbox", uri, TRIALS, EPOCHS)
        yield (
            f"| {name} | {found.seconds:.1f} | {found.rate:,.0f} | {found.memory_mb:.0f} | "
            f"{found.call_ms(0.5):.3f} | {found.call_ms(0.99):.3f} | {found.call_ms(1):.1f} |"
        )


def peers() -> Iterator[str]:
    """All three ways in turns."""
    yield from (
        f"\n## Beside its peers, {FEW_TRIALS} trials of {EPOCHS} epochs of {METRICS} metrics\n",
        f"{ROUNDS} rounds in turns, on a fresh store each; medians, and the median of the rounds' ratios. "
        "The call is what the driver's loop waits for at each result.\n",
        "| store | way | points / s | outbox is faster by | call, ms: median | 99 % |",
        "|---|---|---:|---:|---:|---:|",
    )
    for name, store in stores().items():
        rounds: dict[str, list[Measured]] = {way: [] for way in PEERS}
        for _ in range(ROUNDS):
            for way, found in rounds.items():
                with store() as uri:
                    found.append(measure(way, uri, FEW_TRIALS, EPOCHS))
        for way, found in rounds.items():
            pairs = zip(rounds["outbox"], found, strict=True)
            ratio = statistics.median(ours.rate / theirs.rate for ours, theirs in pairs)
            shown = "" if way == "outbox" else f"{ratio:.1f} ×"
            rate = statistics.median(each.rate for each in found)
            half, most = (statistics.median(each.call_ms(share) for each in found) for share in (0.5, 0.99))
            yield f"| {name} | {PEERS[way]} | {rate:,.0f} | {shown} | {half:.2f} | {most:.2f} |"


def faults() -> Iterator[str]:
    """How long the driver's callback takes while nobody answers."""
    trials = RESULTS // EPOCHS
    yield from (
        f"\n## The driver's callback while MLflow does not answer, {trials * EPOCHS:,} results\n",
        "A hung server accepts connections and never says anything.\n",
        "| server | call, ms: median | 99 % | most |",
        "|---|---:|---:|---:|",
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hung = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for name, uri in (("hung", hung), ("dead", f"http://127.0.0.1:{free_port()}")):
            found = measure("outbox", uri, trials, EPOCHS, BENCHMARK_WAIT_S="1", BENCHMARK_PATIENCE_S="0")
            half, most, worst = (found.call_ms(share) for share in (0.5, 0.99, 1))
            yield f"| {name} | {half:.3f} | {most:.3f} | {worst:.1f} |"


def main() -> None:
    versions = ", ".join(f"{name} {version(name)}" for name in ("mlflow", "ray", "sqlalchemy"))
    lines = [
        "# Logging to MLflow: the outbox beside Ray's callback and plain calls\n",
        f"`python -m benchmarks.tracking`, {date.today()}, {platform.machine()}, {os.cpu_count()} cores that "
        f"server, database and client share, Python {platform.python_version()}, {versions}.\n",
    ]
    for part in (drain, peers, faults):
        for line in part():
            lines.append(line)
            print(line, flush=True)
    absent = [] if binaries() is not None else ["PostgreSQL, whose server is not installed here"]
    unmeasured = [*absent, "servers on other machines", "several sweeps that write at once", "artifacts"]
    unmeasured.append("Ray's callback with a server that does not answer: its calls wait for minutes")
    lines.append(f"\nNot measured: {'; '.join(unmeasured)}.\n")
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text("\n".join(lines), encoding="utf-8")
    print(f"written to {TARGET}")


if __name__ == "__main__":
    main()
