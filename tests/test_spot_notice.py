"""The watcher for the notice of a spot machine, against metadata servers on this machine's loopback."""

import runpy
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from tests.paths import ROOT
from trainables.trainable import SPOT_NOTICE

SCRIPT = ROOT / "clusters" / "spot_notice.py"


class Metadata(BaseHTTPRequestHandler):
    """As EC2 and Google answer: without token or header 401 and 403, without a notice 404 and FALSE."""

    noticed = False
    asked: ClassVar[list[str]] = []

    def do_PUT(self) -> None:
        known = self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self._say(200 if known else 400, "the token")

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/computeMetadata"):
            allowed = self.headers["Metadata-Flavor"] == "Google"
            self._say(200 if allowed else 403, "TRUE" if self.noticed else "FALSE")
        elif self.headers["X-aws-ec2-metadata-token"] != "the token":
            self._say(401, "")
        else:
            self._say(200 if self.noticed else 404, '{"action": "terminate", "time": "2026-11-29T12:00:00Z"}')

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def metadata() -> Iterator[str]:
    Metadata.noticed, Metadata.asked = False, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_the_file_comes_with_the_notice(metadata: str, cloud: str, tmp_path: Path) -> None:
    script = runpy.run_path(str(SCRIPT))
    script["watch"].__globals__["SECONDS_BETWEEN_LOOKS"] = 0.01
    notice = tmp_path / "notice"
    notice.touch()  # of an earlier life
    watcher = threading.Thread(target=script["watch"], args=(cloud, notice, metadata), daemon=True)
    watcher.start()
    while len(Metadata.asked) < 3:
        assert watcher.is_alive()
    assert not notice.exists()
    Metadata.noticed = True
    watcher.join(20)
    assert notice.exists()


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_silence_is_no_notice(cloud: str) -> None:
    assert runpy.run_path(str(SCRIPT))["CLOUDS"][cloud]("http://127.0.0.1:9") is False


def test_an_unknown_cloud_is_refused() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "azure", "x"], capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (
        1,
        "usage: spot_notice.py aws|gcp FILE, got ['azure', 'x']",
    )


@pytest.mark.parametrize(("file", "cloud"), [("cluster.yaml", "aws")])
def test_workers_leave_it_where_trials_look(file: str, cloud: str) -> None:
    config = yaml.safe_load((ROOT / file).read_text())
    assert config["file_mounts"]["~/spot_notice.py"] == "clusters/spot_notice.py"
    assert any(
        f"~/spot_notice.py {cloud} {SPOT_NOTICE} " in each for each in config["worker_start_ray_commands"]
    )
