"""A sweep stops when its folder is gone or full."""

import shutil
from pathlib import Path

import pytest

from orchestrator.running import storage_guard
from orchestrator.running.storage_guard import StorageGuard
from orchestrator.spec.sweep_spec import SPEC_FILE


@pytest.fixture
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StorageGuard:
    monkeypatch.setattr(storage_guard, "SECONDS_BETWEEN_LOOKS", 0.0)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / SPEC_FILE).touch()
    return StorageGuard(tmp_path / "a")


def test_a_folder_with_space_is_left_alone(guard: StorageGuard) -> None:
    assert not guard.stop_all()
    assert not guard("t", {})
    assert guard.problem is None


def test_a_folder_that_is_gone_stops_everything(guard: StorageGuard) -> None:
    shutil.rmtree(guard.folder)
    assert guard.stop_all()
    assert guard.problem == f"the sweep's folder is gone: {guard.folder}"
    assert guard.stop_all(), "for good"


def test_a_full_disk_stops_everything(guard: StorageGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_guard, "LEAST_FREE", 10**18)
    assert guard.stop_all()
    assert guard.problem is not None
    assert guard.problem.startswith("storage is full, ")
