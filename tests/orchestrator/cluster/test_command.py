"""`python -m orchestrator.cluster`: what is refused before anything is sent, and what would be."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cluster import jobs
from orchestrator.cluster.__main__ import STORAGE, TRACKING_URI, _checked, app
from orchestrator.cluster.launcher import _last_line
from tests.orchestrator.tracking_fixtures import free_port
from tests.paths import ROOT


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "orchestrator").mkdir()
    (tmp_path / "orchestrator" / "sweep.py").touch()
    (tmp_path / "mine.yaml").write_text("trials: 2\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cluster(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_nobody_answers(checkout: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    for arguments in (["submit", "mine.yaml"], ["logs", "s"], ["stop", "s"], ["list"]):
        done = cluster(*arguments, "--address", address)
        assert done.exit_code == 2
        assert done.stderr == (
            f"error: --address: must be that of a Ray dashboard that answers, got {address}: Connection"
            " refused; `ray dashboard cluster.yaml` opens the way to it\n"
        )


def test_somebody_listens_and_says_nothing(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = cluster("list", "--address", address)
    assert done.exit_code == 2
    assert done.stderr.startswith(
        f"error: --address: must be that of a Ray dashboard that answers, got {address}: timed out"
    )


@pytest.mark.parametrize("address", ["127.0.0.1:8265", "ray://127.0.0.1:10001", "http://127.0.0.1:8265/x y"])
def test_what_is_no_address(checkout: Path, address: str) -> None:
    done = cluster("list", "--address", address)
    assert done.exit_code == 2
    assert done.stderr == f"error: --address: must be http://HOST:PORT of Ray's dashboard, got {address!r}\n"


def test_the_spec_is_checked_here(checkout: Path) -> None:
    (checkout / "mine.yaml").write_text("trials: 0\n")
    done = cluster("submit", "mine.yaml")
    assert (done.exit_code, done.stderr) == (2, "error: mine.yaml:1: trials must be >= 1, got 0\n")
    absent = cluster("submit", "absent.yaml")
    assert absent.stderr.startswith("error: absent.yaml: a spec must be a file that can be read")


def test_what_is_not_sent(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "mine.yaml"
    elsewhere.write_text("trials: 2\n")
    done = cluster("submit", str(elsewhere))
    assert done.exit_code == 2
    assert done.stderr == f"error: SPEC must lie in the folder that is sent, {checkout}, got {elsewhere}\n"
    (checkout / "orchestrator" / "sweep.py").unlink()
    done = cluster("submit", "mine.yaml")
    assert done.stderr == (
        f"error: the folder that is sent must be the checkout of this project, got {checkout}\n"
    )


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("trials: 2\n", {}, ("mine", STORAGE, TRACKING_URI)),
        ("name: own\nstorage: /efs\ntracking_uri: http://a:1\n", {}, ("own", "/efs", "http://a:1")),
        (
            "name: own\nstorage: /efs\ntracking_uri: http://a:1\n",
            {"name": "other", "storage": "/nfs", "tracking_uri": "http://b:2"},
            ("other", "/nfs", "http://b:2"),
        ),
    ],
)
def test_name_and_places(
    checkout: Path, text: str, options: dict[str, str], expected: tuple[str, str, str]
) -> None:
    (checkout / "mine.yaml").write_text(text)
    none = dict.fromkeys(("name", "storage", "tracking_uri"))
    whole = _checked(Path("mine.yaml"), checkout, {**none, **options})
    assert (whole.name, str(whole.storage), whole.tracking_uri) == expected


def test_storage_of_this_machine(checkout: Path) -> None:
    done = cluster("submit", "mine.yaml", "--storage", "sweeps")
    rule = "storage must be the cluster's own folder, from / on"
    assert (done.exit_code, done.stderr) == (2, f"error: {rule}, got {checkout}/sweeps\n")


def test_help_loads_no_ray() -> None:
    program = "import sys\nfrom orchestrator.cluster.__main__ import app\ntry: app(['submit', '--help'])\n"
    program += "except SystemExit: pass\nprint('ray' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert "--storage" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"


def test_the_file_of_the_cluster(checkout: Path) -> None:
    for arguments in (["list", "--cluster", "no.yaml"], ["watch", "s", "--cluster", "no.yaml"]):
        done = cluster(*arguments)
        expected = "error: --cluster: must be the file of `ray up`, got none: no.yaml\n"
        assert (done.exit_code, done.stderr) == (2, expected)
    assert cluster("watch", "s").stderr.endswith("got none: my-cluster.yaml\n")
    (checkout / "my-cluster.yaml").touch()
    (checkout / "sweeps" / "s").mkdir(parents=True)
    done = cluster("fetch", "s")
    assert (done.exit_code, done.stderr) == (
        2, "error: --to: must be a new folder, got one that is there: sweeps/s\n"
    )  # fmt: skip
    done = cluster("list", "--cluster", "my-cluster.yaml", "--address", "http://127.0.0.1:1")
    assert done.stderr == (
        "error: --address: must be given without --cluster, got both, http://127.0.0.1:1 and"
        " my-cluster.yaml\n"
    )


def test_what_ray_and_tar_say() -> None:
    said = b"\x1b[31mtar: s: Cannot stat: No such file\x1b[0m\r\n\nError: Command failed:\n\n  ssh -tt h\n"
    assert _last_line(said) == "tar: s: Cannot stat: No such file"
    assert _last_line(b"a\nHead node of cluster (x) not found!\n\n") == "Head node of cluster (x) not found!"
    assert _last_line(b"") == "nothing"
