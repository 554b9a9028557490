"""A sweep stops when its folder is gone or full."""

import shutil
from pathlib import Path

import pytest

from orchestrator.running import storage_guard
from orchestrator.running.storage_guard import RESERVE, RESERVE_FILE, StorageGuard
from orchestrator.spec.sweep_spec import SPEC_FILE


@pytest.fixture
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StorageGuard:
    monkeypatch.setattr(storage_guard, "SECONDS_BETWEEN_LOOKS", 0.0)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / SPEC_FILE).touch()
    return StorageGuard(tmp_path / "a")


def test_a_folder_with_space_is_left_alone(guard: StorageGuard) -> None:
    with guard:
        assert not guard.stop_all()
        assert not guard("t", {})
        assert guard.problem is None
        assert (guard.folder / RESERVE_FILE).stat().st_blocks * 512 >= RESERVE
    assert [path.name for path in guard.folder.iterdir()] == [SPEC_FILE]


def test_a_folder_that_is_gone_interrupts_everything_once(guard: StorageGuard) -> None:
    shutil.rmtree(guard.folder)
    with pytest.raises(KeyboardInterrupt):
        guard.stop_all()
    assert guard.problem == f"the sweep's folder is gone: {guard.folder}"
    assert not guard.stop_all(), "which would end the running trials for good"


def test_a_full_disk_interrupts_everything(guard: StorageGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_guard, "LEAST_FREE", 10**18)
    with guard:
        with pytest.raises(KeyboardInterrupt):
            guard.stop_all()
        assert not (guard.folder / RESERVE_FILE).exists()
    assert guard.problem is not None
    assert guard.problem.startswith("storage is full, ")
