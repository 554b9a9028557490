"""Which MLflow knows the comparison view: the installed one, and servers of several versions on loopback."""

from __future__ import annotations

import base64
import importlib.metadata
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orchestrator.tracking.server import version as tracking_version
from orchestrator.tracking.server.version import TESTED, knows_view
from tests.sweep_process import ROOT


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)


@contextmanager
def telling(version: str, credentials: str | None = None, status: int = 200) -> Iterator[str]:
    """A server that tells a version, to those with the credentials alone; its host and port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = credentials is None or self.headers.get("Authorization") == credentials
            known = allowed and self.path == "/version"
            self.send_response(status if known else 401)
            self.end_headers()
            self.wfile.write(version.encode() if known else b"3.17.2")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_installed_one_is_the_tested_one() -> None:
    version = importlib.metadata.version("mlflow")
    assert version.startswith(f"{TESTED}.")
    assert (
        f'"mlflow>={TESTED},<3.{int(TESTED.partition(".")[2]) + 1}"' in (ROOT / "pyproject.toml").read_text()
    )


@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "postgresql://me:secret@host/db"])
def test_a_database_is_shown_by_the_installed_one(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert knows_view(uri)
    monkeypatch.setattr(tracking_version, "TESTED", "3.16")
    assert not knows_view(uri)


@pytest.mark.parametrize(
    ("version", "known"),
    [("3.17.2", True), ("3.17.0rc1", True), ("3.17", True), ("3.18.0", False), ("3.1.7", False),
     ("3.170.0", False), ("<html>", False), ("", False), ("\xff", False)],
)  # fmt: skip
def test_a_server_tells_its_version(version: str, known: bool) -> None:
    with telling(version) as host:
        assert knows_view(f"http://{host}") == knows_view(f"http://{host}/") == known


def test_a_failure_is_no_knowledge() -> None:
    with telling("3.17.2", status=500) as host:
        assert not knows_view(f"http://{host}")
        assert not knows_view(f"https://{host}")
        assert not knows_view(f"http://{host}/elsewhere")
    assert not knows_view(f"http://{host}")
    assert not knows_view("http://127.0.0.1:99999")
    assert not knows_view("http://127.0.0.1:port")


def test_a_server_of_another_kind() -> None:
    def answer(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"3.17.2 at your service\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer, args=(listening,), daemon=True).start()
        assert not knows_view(f"http://127.0.0.1:{listening.getsockname()[1]}")


def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_version, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        start = time.monotonic()
        assert not knows_view(f"http://127.0.0.1:{listening.getsockname()[1]}")
        assert time.monotonic() - start < 1


def test_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    basic = "Basic " + base64.b64encode(b"me:s@cret").decode()
    with telling("3.17.2", basic) as host:
        assert not knows_view(f"http://{host}")
        assert knows_view(f"http://me:s%40cret@{host}")
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s@cret")
        assert knows_view(f"http://{host}")
        assert not knows_view(f"http://other:s%40cret@{host}")
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "abc")
    with telling("3.17.2", "Bearer abc") as host:
        assert knows_view(f"http://{host}")


def test_it_is_told_without_mlflow(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom orchestrator.tracking.server.version import knows_view\n"
        "print(knows_view('sqlite:///x'), 'mlflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "True False\n"
