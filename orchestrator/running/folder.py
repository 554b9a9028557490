"""The folder of a sweep: made once, under a name of its own, with the spec in it; found again to resume."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.spec.errors import SpecError
from orchestrator.spec.options import flag_of, given
from orchestrator.spec.sweep_spec import SPEC_FILE, SweepSpec
from trainables.common.hints import hint

_LOCK_FILE, _CORPUS_FILE = ".lock", "corpus.digest"


@dataclass(frozen=True)
class Again:
    """A way to come back to a sweep: the option, and the other options that may be given with it."""

    flag: str
    may_change: tuple[str, ...]


RESUME = Again("--resume", ("cpus", "gpus", "max_concurrent", "storage", "tracking_uri"))
REPLAY = Again("--replay-outbox", ("storage", "tracking_uri"))


def prepare_folder(spec: SweepSpec) -> Path:
    """Make the sweep's folder and save the spec there; of two sweeps of one name only one gets it.

    Raises:
        SpecError: the name is in use, or the folder cannot be written.
    """
    try:
        spec.storage.mkdir(parents=True, exist_ok=True)
        spec.folder.mkdir()
        unfinished = spec.folder / f"{SPEC_FILE}.partial"
        unfinished.write_text(spec.to_yaml(), encoding="utf-8")
        unfinished.rename(spec.folder / SPEC_FILE)
    except FileExistsError:
        raise name_in_use(spec) from None
    except OSError as error:
        raise _not_writable(spec.folder, error) from error
    return spec.folder


def keep_corpus(folder: Path, digest: str) -> None:
    """Notes which corpus the sweep is over, or on a resume checks that it is still the same.

    Raises:
        SpecError: the text has changed.
    """
    note = folder / _CORPUS_FILE
    if not note.exists():
        note.write_text(f"{digest}\n", encoding="utf-8")
    known = note.read_text(encoding="utf-8").strip()
    if known != digest:
        raise SpecError(
            f"--resume: the corpus must be as it was when the sweep began ({known}), got another text"
            f" ({digest})"
        )


def saved_spec(
    name: str, options: Mapping[str, Any], file: Path | None = None, again: Again = RESUME
) -> SweepSpec:
    """The spec of an earlier sweep.

    Args:
        options: as in `SweepSpec.load`; only those that `again` names may be given.
        file: the command's SPEC, which may not be given either.

    Raises:
        SpecError: another option is given, or there is no such sweep.
    """
    others = [flag_of(option) for option in given(options) if option not in again.may_change]
    refused = [*(["SPEC"] if file else []), *others]
    if refused:
        may = ", ".join(map(flag_of, again.may_change))
        raise SpecError(
            f"{again.flag}: the sweep's saved spec holds, so only {may} may change, got {', '.join(refused)}"
        )
    storage = SweepSpec.load(None, {"storage": options.get("storage")}).storage
    folder = storage / name
    known = sorted(path.parent.name for path in storage.glob(f"*/{SPEC_FILE}"))
    if name not in known:
        problem = f"no sweep {name!r} in {storage}; {hint(name, known)}"
        if folder.is_dir() and Path(os.path.abspath(folder)).parent == storage:
            problem = f"{folder} must hold {SPEC_FILE}, got none: start the sweep anew"
        raise SpecError(f"{again.flag}: {problem}")
    return SweepSpec.load(folder / SPEC_FILE, {**options, "storage": storage, "name": name})


def name_in_use(spec: SweepSpec) -> SpecError:
    """The error about a name that another sweep has, with the ways out."""
    resume = f"--resume {spec.name}" if (spec.folder / SPEC_FILE).is_file() else f"removing {spec.folder}"
    return SpecError(
        f"name must be new in {spec.storage}, got {spec.name!r}: choose another --name, or try {resume}"
    )


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Holds the sweep's folder: it cannot be resumed while it runs.

    Raises:
        SpecError: another process holds it.
    """
    try:
        lock = (folder / _LOCK_FILE).open("w")
    except OSError as error:
        raise _not_writable(folder, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno == errno.EWOULDBLOCK:
                raise SpecError(
                    f"a sweep must run once at a time, got one that runs already: {folder}"
                ) from None
        yield  # some network file systems know no locks: then nothing is held


def _not_writable(folder: Path, error: OSError) -> SpecError:
    return SpecError(f"storage must be a folder that can be written, got {error.strerror!r}: {folder}")
