"""Whoever reads a snapshot, or finds it after a kill, finds whole files."""

from __future__ import annotations

import pickle
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem
from ray import cloudpickle
from ray.train._internal.storage import StorageContext, _FilesystemSyncer, _upload_to_fs_path

from orchestrator.trials.whole_files import WholeFiles, copy_whole

SIZE, ROUNDS = 8_000_000, 60


def torn(source: Path, target: Path, copy: Callable[[str, str], None]) -> int:
    """How many of the looks beside `ROUNDS` snapshots found no file, or one of another length than theirs."""
    done, lengths = threading.Event(), Counter[int]()

    def read() -> None:
        while not done.is_set():
            file = target / "state"
            lengths[file.stat().st_size if file.exists() else 0] += 1

    (source / "state").write_bytes(b"0" * SIZE)
    copy_whole(str(source), str(target))
    reader = threading.Thread(target=read)
    reader.start()
    for number in range(ROUNDS):
        (source / "state").write_bytes(b"%d" % (number % 10) * SIZE)
        copy(str(source), str(target))
    done.set()
    reader.join()
    assert (target / "state").read_bytes() == b"9" * SIZE
    assert lengths[SIZE] > ROUNDS
    return lengths.total() - lengths[SIZE]


def test_files_are_whole_at_every_moment(tmp_path: Path) -> None:
    """Beside Tune's own copying, of which that is not true."""
    source = tmp_path / "source"
    source.mkdir()
    assert torn(source, tmp_path / "ours", copy_whole) == 0
    assert torn(source, tmp_path / "tune", lambda a, b: _upload_to_fs_path(a, LocalFileSystem(), b)) > 0


def test_an_actor_gets_tunes_own(tmp_path: Path) -> None:
    """Its node has no orchestrator. The driver has copied by then, which Tune remembers."""
    storage = StorageContext(str(tmp_path), "tune")
    period = storage.syncer.sync_period
    WholeFiles.take_over(storage)
    assert type(storage.syncer) is WholeFiles
    storage.syncer.sync_period = 2 * period
    (tmp_path / "state").write_text("0")
    assert storage.syncer.sync_up(str(tmp_path / "state"), str(tmp_path / "copy"))
    storage.syncer.wait()
    assert (tmp_path / "copy").read_text() == "0"
    sent = pickle.loads(pickle.dumps(storage)).syncer
    assert (type(sent), sent.sync_period) == (_FilesystemSyncer, 2 * period)
    assert b"orchestrator" not in cloudpickle.dumps(storage)


def test_folders_in_folders(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("c")
    (tmp_path / "a" / "d").write_text("d")
    copy_whole(str(tmp_path / "a"), str(tmp_path / "e" / "f"))
    found = sorted(str(path.relative_to(tmp_path / "e")) for path in (tmp_path / "e").rglob("*"))
    assert found == ["f", "f/b", "f/b/c", "f/d"]


def test_what_cannot_be_copied_leaves_what_was_there(tmp_path: Path) -> None:
    """Here a file that is gone meanwhile: Tune renames those of its searcher."""
    (tmp_path / "state").write_text("old")
    with pytest.raises(OSError, match="gone"):
        copy_whole(str(tmp_path / "gone" / "state"), str(tmp_path / "state"))
    assert (tmp_path / "state").read_text() == "old"
