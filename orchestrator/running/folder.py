"""The folder of a sweep: made once, under a name of its own, with the spec in it; found again to resume."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.spec.budget import CAPS
from orchestrator.spec.errors import SpecError, shown
from orchestrator.spec.options import flag_of, given
from orchestrator.spec.sweep_spec import SPEC_FILE, SweepSpec
from trainables.common.hints import hint

_LOCK_FILE, _CORPUS_FILE = ".lock", "corpus.digest"
MOST_AT_ONCE = 20
"""Sweeps without a name that may start within one second."""
_PACKAGE = "/working_dir_files/_ray_pkg_"
_BEGUN_FILE = ".begun.yaml"
"""The spec as the sweep began with it: `SPEC_FILE` lies open to an editor."""


@dataclass(frozen=True)
class Again:
    """A way to come back to a sweep: the option, and the other options that may be given with it."""

    flag: str
    may_change: tuple[str, ...]


RESUME = Again("--resume", ("cpus", "gpus", "max_concurrent", "storage", "tracking_uri", *CAPS))
GO_ON = Again("--go-on", (*RESUME.may_change, "corpus"))  # a job's package moves; the text itself is compared
ADD = Again("--add-trials", RESUME.may_change)
REPLAY = Again("--replay-outbox", ("storage", "tracking_uri"))


def prepare_folder(spec: SweepSpec) -> SweepSpec:
    """Make the sweep's folder and save the spec there; of two sweeps of one name only one gets it.

    Returns:
        The spec, under another name where nobody chose one and the usual one was taken within the second.

    Raises:
        SpecError: the name is in use, or the folder cannot be written.
    """
    chosen = "name" in spec.model_fields_set
    for number in range(2, MOST_AT_ONCE + 2):
        try:
            spec.storage.mkdir(parents=True, exist_ok=True)
            spec.folder.mkdir()
            break
        except FileExistsError:
            if chosen or number > MOST_AT_ONCE:
                raise name_in_use(spec) from None
            usual = spec.name.removesuffix(f"-{number - 1}") if number > 2 else spec.name
            spec = spec.model_copy(update={"name": f"{usual}-{number}"})
        except OSError as error:
            raise _not_writable(spec.folder, error) from error
    _save(spec)
    return spec


def _save(spec: SweepSpec) -> None:
    """Writes the spec, whole or not at all, and what the sweep was begun with."""
    for name in (_BEGUN_FILE, SPEC_FILE):
        _write(spec, name)


def _write(spec: SweepSpec, name: str) -> None:
    try:
        unfinished = spec.folder / f"{name}.partial"
        unfinished.write_text(spec.to_yaml(), encoding="utf-8")
        unfinished.rename(spec.folder / name)
    except OSError as error:
        raise _not_writable(spec.folder, error) from error


def keep_settled(spec: SweepSpec) -> None:
    """Saves what was found out when the sweep started; what it was begun with stays.

    Raises:
        SpecError: the folder cannot be written.
    """
    _write(spec, SPEC_FILE)


def discard(folder: Path) -> None:
    """Takes back what `prepare_folder` made, for a sweep that was refused before it trained anything."""
    shutil.rmtree(folder, ignore_errors=True)


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
    spec = SweepSpec.load(folder / SPEC_FILE, {**options, "storage": storage, "name": name})
    _check_unchanged(spec, again, f"{spec.folder / SPEC_FILE}: ", "put it back, or start another sweep")
    return spec


def extended(name: str, trials: int, options: Mapping[str, Any], file: Path | None = None) -> SweepSpec:
    """The spec of an earlier sweep with so many trials more for each variant, saved as the sweep's own.

    Args:
        options: as in `saved_spec`; `variants` are added to those that there are.

    Raises:
        SpecError: as `saved_spec`, or there is nothing to add.
    """
    if trials < 0:
        raise SpecError(f"--add-trials: must be >= 0, got {trials}")
    others = {option: value for option, value in options.items() if option != "variants"}
    spec = saved_spec(name, others, file, ADD)
    added = [one.strip() for one in str(options.get("variants") or "").split(",") if one.strip()]
    if not trials and not added:
        raise SpecError("--add-trials: must add trials, or with --variants a variant, got neither")
    data = spec.model_dump(mode="json") | {"trials": spec.trials + trials}
    variants = data["variants"]
    own = variants if isinstance(variants, dict) else {one: {} for one in variants}
    data["variants"] = own | {one: {} for one in added if one not in own}
    longer = SweepSpec.load(None, {**data, "tracking_uri": spec.tracking_uri})
    _save(longer)
    return longer


def begun(spec: SweepSpec) -> bool:
    """Whether `--go-on` has a sweep to go on with: one of this name, from the same spec.

    Raises:
        SpecError: it has no name to be found again by, or another spec.
    """
    if "name" not in spec.model_fields_set:
        raise SpecError("--go-on: must come with the sweep's --name, to find it again, got none")
    if not (spec.folder / SPEC_FILE).is_file():
        return False
    _check_unchanged(spec, GO_ON, f"{GO_ON.flag}: ", "put it back, or choose another --name")
    return True


def _check_unchanged(spec: SweepSpec, again: Again, where: str, way_out: str) -> None:
    """What is trained under another spec cannot be compared with what was trained before.

    Raises:
        SpecError: the first key that differs, but for those that may change.
    """
    begun_file = spec.folder / _BEGUN_FILE
    if not begun_file.is_file():
        return
    begun = SweepSpec.load(begun_file).model_dump(mode="json")
    free = {*again.may_change, "resources", "budget", "name"}
    for key, now in spec.model_dump(mode="json").items():
        if key not in free and now != begun[key]:
            raise SpecError(
                f"{where}{key} must be as it was when the sweep began, {shown(begun[key])}, got {shown(now)}:"
                f" {way_out}"
            )


def check_lasting(spec: SweepSpec) -> None:
    """A job of Ray's runs below a package whose folder has another name when a file of it changes.

    Raises:
        SpecError: what the sweep keeps would lie there, where nobody finds it again.
    """
    for key, place in (("storage", str(spec.storage)), ("checkpoints", spec.checkpoints or "")):
        if _PACKAGE in place:
            raise SpecError(
                f"{key} must lie outside of the package that a job of Ray's runs in, got {place}:"
                " give a folder that all nodes reach and that outlives the head"
            )


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
