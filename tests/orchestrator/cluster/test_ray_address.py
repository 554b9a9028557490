from __future__ import annotations

import os
import re
import socket
import tempfile
import time
from pathlib import Path

import pytest

from orchestrator.cluster.ray_address import LONGEST_FOLDER, check_ray_address, ray_folder
from orchestrator.spec.errors import SpecError


@pytest.fixture
def somebody() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def refusal(monkeypatch: pytest.MonkeyPatch, address: str) -> str:
    monkeypatch.setenv("RAY_ADDRESS", address)
    began = time.monotonic()
    with pytest.raises(SpecError) as caught:
        check_ray_address()
    assert time.monotonic() - began < 5
    return str(caught.value)


@pytest.mark.parametrize("address", ["http://127.0.0.1:8265", "127.0.0.1", "ray:/x:1", "a b:3", "x:123456"])
def test_what_is_no_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(monkeypatch, address) == (
        f"RAY_ADDRESS must be HOST:PORT, ray://HOST:PORT or auto, got {address!r}"
    )


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_nobody_and_somebody(form: str, somebody: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    address = form.format(somebody.getsockname()[1])
    with somebody:
        monkeypatch.setenv("RAY_ADDRESS", address)
        check_ray_address()
    assert refusal(monkeypatch, address) == (
        f"RAY_ADDRESS must be that of a Ray that answers, got {address!r}: Connection refused;"
        " start it, or unset RAY_ADDRESS to use this machine"
    )


def test_auto_looks_where_ray_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    known = tmp_path / "ray" / "ray_current_cluster"
    assert refusal(monkeypatch, "auto") == (
        f"RAY_ADDRESS=auto must find a running Ray, got none: {known} is missing"
    )
    known.parent.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        known.write_text(f"127.0.0.1:{somebody.getsockname()[1]}\n")
        check_ray_address()
    assert "Connection refused" in refusal(monkeypatch, "auto")


@pytest.mark.parametrize("address", ["", "local"])
def test_this_machine(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    check_ray_address()


def test_a_long_folder_gives_way_to_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        for length, expected in ((LONGEST_FOLDER, None), (LONGEST_FOLDER + 1, f"/tmp/ray-{os.getuid()}")):
            folder = Path(short, "x" * (length - len(short) - 1))
            folder.mkdir()
            monkeypatch.setenv("RAY_TMPDIR", str(folder))
            assert ray_folder() == expected
    session = "ray/session_2026-11-27_02-53-01_123456_1234567/sockets/plasma_store"
    assert LONGEST_FOLDER + 1 + len(session) <= 107


def test_where_there_is_no_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/" + "ü" * LONGEST_FOLDER)
    monkeypatch.setattr("orchestrator.cluster.ray_address._PLACES", ("/nowhere",))
    with pytest.raises(SpecError, match=re.escape(f"at most {LONGEST_FOLDER} bytes")) as caught:
        ray_folder()
    assert f"have long names, got {2 * LONGEST_FOLDER + 1}: /ü" in str(caught.value)


def test_a_full_folder_gives_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("orchestrator.cluster.ray_address.LEAST_FREE", 10**18)
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    with pytest.raises(
        SpecError, match=r"^TMPDIR must be a folder with 10{12} MB free or more, got \d+ MB: /tmp$"
    ):
        ray_folder()
    monkeypatch.setenv("RAY_TMPDIR", "/nowhere")
    with pytest.raises(SpecError, match=r"^TMPDIR must be a folder that can be written, got 'No such file"):
        ray_folder()
