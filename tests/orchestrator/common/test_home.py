from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.common.home import do_without_home

NAMES = ("RAY_AUTH_TOKEN", "MPLCONFIGDIR")


@pytest.fixture(autouse=True)
def neither(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_a_home_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "new"))
    do_without_home()
    assert not set(NAMES) & set(os.environ)
    assert list((tmp_path / "new").iterdir()) == []


def test_one_that_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    do_without_home()
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert os.environ["MPLCONFIGDIR"].endswith(f"matplotlib-{os.getuid()}")
    monkeypatch.setenv("MPLCONFIGDIR", "mine")
    do_without_home()
    assert os.environ["MPLCONFIGDIR"] == "mine"
