"""Every bad input ends with its status, says where and why without a traceback, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.common.statuses import Status
from tests.orchestrator.bad_inputs import ALL, Bad
from tests.paths import ROOT

Server = subprocess.Popen[str]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    left_out = ("RAY_ADDRESS", "MLFLOW_TRACKING_URI", "RAY_TMPDIR")
    inherited = {name: value for name, value in os.environ.items() if name not in left_out}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.orchestrator.fork_server"],
        cwd=ROOT,
        env=inherited | {"COLUMNS": "400", "TERM": "dumb", "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def answer(server: Server, bad: Bad, folder: Path) -> dict[str, Any]:
    assert server.stdin is not None
    assert server.stdout is not None
    environment = {name: value.replace("{here}", str(folder)) for name, value in bad.environment.items()}
    case = {"words": bad.command.split(), "folder": str(folder), "environment": environment}
    server.stdin.write(json.dumps(case) + "\n")
    server.stdin.flush()
    found: dict[str, Any] = json.loads(server.stdout.readline())
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "bad", ALL, ids=lambda bad: bad.command.replace("orchestrator.", "") + " " + bad.said[:30]
)
def test_a_bad_input_is_refused(bad: Bad, server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    for name, content in bad.files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    before = contents(folder)
    found = answer(server, bad, folder)
    assert bad.said.replace("{here}", str(folder)) in " ".join(found["said"].split())
    assert "Traceback" not in found["said"]
    assert found["status"] == Status.BAD_INPUT
    assert found["ray"] is False
    assert found["seconds"] < 10
    assert contents(folder) == before


def test_there_are_many() -> None:
    assert len({(bad.command, str(bad.files), str(bad.environment)) for bad in ALL}) == len(ALL) >= 80
