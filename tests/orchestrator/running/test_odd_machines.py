"""A whole sweep where nothing is as usual, and one whose terminal goes away."""

from __future__ import annotations

import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests import sweep_process
from tests.orchestrator.database import sqlite_uri
from tests.orchestrator.tracking_fixtures import Reader
from tests.sweep_process import Sweep

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


def write(folder: Path, epochs: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sweep_process.write_corpus(folder / "text.txt")
    (folder / "spec.yaml").write_text(TINY.format(epochs=epochs))


@pytest.mark.slow
@pytest.mark.parametrize("redirect", ["| head -1", ">&-", "> /dev/full"])
def test_everything_is_odd_and_nothing_is_lost(redirect: str, tmp_path: Path) -> None:
    folder = tmp_path / "a%20b [x] ü?"
    write(folder, 1)
    long = tmp_path / ("x" * 80)
    long.mkdir()
    (tmp_path / "home").touch()
    sweep = Sweep(folder, ODD | {"TMPDIR": str(long), "HOME": str(tmp_path / "home")})
    command = f'"$0" -m orchestrator.sweep spec.yaml --name s {redirect}'
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}", sys.executable],
        cwd=folder, env=sweep.environment, capture_output=True, check=False, timeout=240,
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
