"""A server with PostgreSQL behind it, and many writers at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.tracking.delivery.outcome import Delivery
from orchestrator.tracking.tracker import MlflowTracker
from tests.orchestrator.postgres import PASSWORD, binaries, postgres
from tests.orchestrator.tracking_fixtures import Reader, complete, free_port, plan, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(binaries() is None, reason="PostgreSQL's server is not installed"),
]
WRITERS, TRIALS, EPOCHS = 4, 3, 20


def write(uri: str, folder: Path, sweep: str) -> Delivery:
    """A sweep of some trials."""
    (folder / sweep).mkdir()
    tracker = MlflowTracker(uri, sweep, folder / sweep)
    assert tracker.start_sweep(params={"epochs": str(EPOCHS)}) is None
    for number in range(TRIALS):
        tracker.start_trial(f"t{number}", plan(seed=number))
        for epoch in range(1, EPOCHS + 1):
            tracker.log_metrics(f"t{number}", {"nll": number + 1 / epoch, "kl": 0.1, "x": 1e-300}, epoch)
        tracker.end_trial(f"t{number}", "FINISHED")
    tracker.finish_sweep(status="FINISHED")
    return tracker.close(120)


def test_many_sweeps_write_to_one_server_with_postgresql(tmp_path: Path) -> None:
    with postgres() as database:
        port = free_port()
        arguments = ("--backend-store-uri", database, "--artifacts-destination", str(tmp_path / "files"))
        with running("server", "--workers", "2", *arguments, folder=tmp_path, port=port):
            uri = f"http://127.0.0.1:{port}"
            names = [f"s{number}" for number in range(WRITERS)]
            with ThreadPoolExecutor(WRITERS) as pool:
                deliveries = list(pool.map(lambda name: write(uri, tmp_path, name), names))
            assert deliveries == [complete(TRIALS * EPOCHS * 3)] * WRITERS
            again = MlflowTracker(uri, "s0", tmp_path / "s0")  # all of it once more
            (tmp_path / "s0" / "outbox.delivered").unlink()
            assert again.connect(30) is None
            assert again.close(120) == complete(TRIALS * EPOCHS * 3)
            for name in names:
                mlflow = Reader(uri, name)
                assert mlflow.parent().info.status == "FINISHED"
                for number in range(TRIALS):
                    history = mlflow.history(f"t{number}", "nll")
                    assert history == [(epoch, number + 1 / epoch) for epoch in range(1, EPOCHS + 1)]
                    assert {value for _, value in mlflow.history(f"t{number}", "x")} == {1e-300}
        assert PASSWORD not in "".join(path.read_text() for path in tmp_path.glob("*/outbox*"))


def test_the_tracker_writes_to_postgresql_itself(tmp_path: Path) -> None:
    with postgres() as database:
        assert write(database, tmp_path, "s") == complete(TRIALS * EPOCHS * 3)
        assert Reader(database).history("t2", "nll")[-1] == (EPOCHS, 2 + 1 / EPOCHS)
