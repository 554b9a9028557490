"""Snapshots of a sweep's state of which each file is whole at every moment.

Tune copies them over those of the last snapshot, from the first byte on. A driver that is killed meanwhile
leaves a file that ends in the middle: Tune then says that it cannot restore the run, and begins anew.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

from pyarrow.fs import LocalFileSystem
from ray.train._internal.storage import StorageContext, _FilesystemSyncer

PARTIAL = ".partial"


class WholeFiles(_FilesystemSyncer):
    """Tune's copying to its storage, file by file, each beside its target and then renamed. What a bucket
    stores is whole by itself."""

    @classmethod
    def take_over(cls, storage: StorageContext) -> None:
        """From now on the files of this experiment are copied in this way."""
        if isinstance(storage.syncer, cls):
            return
        copying = cls(storage.storage_filesystem)
        vars(copying).update(vars(storage.syncer))
        storage.syncer = copying

    def _sync_up_command(
        self, local_path: str, uri: str, exclude: list[str] | None = None
    ) -> tuple[Callable[..., None], dict[str, Any]]:
        if exclude is None and isinstance(self.storage_filesystem, LocalFileSystem):
            return copy_whole, {"source": local_path, "target": uri}
        return super()._sync_up_command(local_path, uri, exclude)

    def __reduce__(self) -> tuple[Any, ...]:
        """As Tune's own that has copied nothing: a trial's storage is sent to its actor, whose node does not
        have this module."""
        state = self.__getstate__()  # type: ignore[no-untyped-call]
        return _FilesystemSyncer, (self.storage_filesystem,), state | {"_current_cmd": None}


def copy_whole(source: str, target: str) -> None:
    """Copies a file into a folder that is there, or a folder with all that it holds; over what is there.

    Raises:
        OSError: a file cannot be read or written; what was there before stays.
    """
    if not os.path.isdir(source):
        shutil.copyfile(source, target + PARTIAL)
        os.replace(target + PARTIAL, target)
        return
    if not os.path.isdir(target):
        os.makedirs(target)
    with os.scandir(source) as entries:
        for entry in entries:
            copy_whole(entry.path, f"{target}/{entry.name}")
