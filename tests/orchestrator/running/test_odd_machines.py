"""A whole sweep where nothing is as usual, and one whose terminal goes away."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests import sweep_process
from tests.orchestrator.database import sqlite_uri
from tests.orchestrator.tracking_fixtures import Reader
from tests.sweep_process import PATIENCE, Sweep

TINY = """
corpus: text.txt
variants: [vanilla]
trials: 1
epochs: {epochs}
baseline_seeds: 1
models: all
final_iw_samples: 20
final_iw_sentences: 5
knobs: {{hidden_size: 16, embedding_size: 8, latent_size: 4, batch_size: 8}}
"""
ODD = {
    "PYTHONIOENCODING": "latin-1", "TERM": "dumb", "COLUMNS": "20", "PYTHONOPTIMIZE": "1",
    "HTTP_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "RAY_TMPDIR": "",
    "TUNE_RESULT_DIR": "/nowhere", "MLFLOW_RUN_ID": "abc", "MLFLOW_EXPERIMENT_ID": "77",
    "CUDA_VISIBLE_DEVICES": "9,x", "OMP_NUM_THREADS": "64",
}  # fmt: skip


SPACE_MB = 300


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of `SPACE_MB`."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SPACE_MB}m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a disk needs root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def wait_for_metrics(folder: Path, seconds: float = 120.0) -> None:
    """Until the sweep `s` has trained."""
    outbox, end = folder / "sweeps/s/outbox.jsonl", time.monotonic() + seconds
    while not (outbox.exists() and b'"kind":"metrics"' in outbox.read_bytes()):
        assert time.monotonic() < end
        time.sleep(0.1)


def write(folder: Path, epochs: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sweep_process.write_corpus(folder / "text.txt")
    (folder / "spec.yaml").write_text(TINY.format(epochs=epochs))


@pytest.fixture
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Python without assertions reads other bytecode, which each process would make anew."""
    mine = tmp_path_factory.getbasetemp()
    folder = (mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine) / "compiled"
    return {"PYTHONPYCACHEPREFIX": str(folder), "PYTHONDONTWRITEBYTECODE": ""}


@pytest.mark.slow
@pytest.mark.parametrize("redirect", ["| head -1", ">&-", "> /dev/full"])
def test_everything_is_odd_and_nothing_is_lost(
    redirect: str, tmp_path: Path, compiled: dict[str, str]
) -> None:
    folder = tmp_path / "a%20b [x] ü?"
    write(folder, 1)
    long = tmp_path / ("x" * 80)
    long.mkdir()
    (tmp_path / "home").touch()
    sweep = Sweep(folder, ODD | compiled | {"TMPDIR": str(long), "HOME": str(tmp_path / "home")})
    command = f'"$0" -m orchestrator.sweep spec.yaml --name s {redirect}'
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}", sys.executable],
        cwd=folder, env=sweep.environment, capture_output=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == (1 if "full" in redirect else 0)
    assert b"Traceback" not in done.stderr
    reader = Reader(sqlite_uri(folder))
    assert reader.parent().info.status == "FINISHED"
    assert {run.info.status for run in reader.trials().values()} == {"FINISHED"}
    assert "frontier.html" in reader.artifacts()
    versions = reader.client.search_model_versions()
    assert {version.run_id for version in versions} == {run.info.run_id for run in reader.trials().values()}
    assert sorted(path.name for path in tmp_path.rglob("mlflow.db")) == ["mlflow.db"]
    assert "• language_model" in (folder / "sweeps" / "s" / "frontier.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_disk_fills_up_in_the_middle(small_disk: Path) -> None:
    """MLflow's database is on it too. Once there is room again, the sweep goes on to its end."""
    write(small_disk, 300)
    sweep, filler = Sweep(small_disk), small_disk / "filler"
    with sweep.started("spec.yaml", "--name", "s") as process:
        wait_for_metrics(small_disk)
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(bytes(1_000_000))
        output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3
    assert "storage is full" in output
    assert "Traceback" not in output + errors
    assert errors.splitlines()[-1].startswith("stopped; go on with: ")
    filler.unlink()
    assert sweep.run("--resume", "s").returncode == 0
    reader = Reader(sqlite_uri(small_disk))
    assert {run.info.status for run in (reader.parent(), *reader.trials().values())} == {"FINISHED"}
    for run in reader.trials().values():
        history = reader.client.get_metric_history(run.info.run_id, "nll")
        assert sorted(point.step for point in history) == list(range(1, 301))


@pytest.mark.slow
def test_a_reader_that_takes_its_time(tmp_path: Path) -> None:
    """Nothing is read from the pipe while the sweep runs, and it is small."""
    write(tmp_path, 1)
    read, written = os.pipe()
    fcntl.fcntl(written, fcntl.F_SETPIPE_SZ, 4096)
    sweep = Sweep(tmp_path, {"COLUMNS": "20"})
    arguments = [sys.executable, "-m", "orchestrator.sweep", "spec.yaml", "--name", "s"]
    process = subprocess.Popen(arguments, cwd=tmp_path, env=sweep.environment, stdout=written)
    os.close(written)
    html, end = tmp_path / "sweeps/s/frontier.html", time.monotonic() + PATIENCE
    while not html.exists():
        assert time.monotonic() < end
        time.sleep(0.2)
    with os.fdopen(read, "rb") as output:
        time.sleep(3.0)
        assert b"compare: " in output.read()
    assert process.wait(PATIENCE) == 0
    assert Reader(sqlite_uri(tmp_path)).parent().info.status == "FINISHED"


@pytest.mark.slow
def test_the_terminal_goes_away(tmp_path: Path) -> None:
    write(tmp_path, 5000)
    sweep = Sweep(tmp_path)
    arguments = [sys.executable, "-m", "orchestrator.sweep", "spec.yaml", "--name", "s"]
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        os.execve(sys.executable, arguments, sweep.environment)
    began, trained = time.monotonic(), False
    os.set_blocking(terminal, False)
    while time.monotonic() - began < 120 and not trained:
        try:
            os.read(terminal, 65536)
        except BlockingIOError:
            time.sleep(0.2)
        trained = b'"kind":"metrics"' in (
            (tmp_path / "sweeps/s/outbox.jsonl").read_bytes()
            if (tmp_path / "sweeps/s/outbox.jsonl").exists()
            else b""
        )
    assert trained
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGINT
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        statuses = {row[0] for row in database.execute("SELECT status FROM runs")}
    assert statuses == {"KILLED"}


@pytest.mark.slow
def test_the_folder_goes_away_in_the_middle(tmp_path: Path) -> None:
    write(tmp_path, 5000)
    with Sweep(tmp_path).started("spec.yaml", "--name", "s") as process:
        wait_for_metrics(tmp_path)
        shutil.move(tmp_path / "sweeps/s", tmp_path / "gone")  # at once, whatever is written meanwhile
        output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 4
    assert "the sweep's folder is gone: " in output
    assert "Traceback" not in output + errors
    assert Reader(sqlite_uri(tmp_path)).parent().info.status == "KILLED"
