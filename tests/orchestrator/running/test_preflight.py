"""What is checked on the machine, and the sweep's folder: made once, found again."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.running.folder import keep_corpus, prepare_folder, saved_spec, sole_user
from orchestrator.running.preflight import check, check_database, check_writable
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sweep_spec import SPEC_FILE, SweepSpec
from trainables.text.corpora import CorpusError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def spec(**options: Any) -> SweepSpec:
    return SweepSpec.load(None, {"name": "a", "max_sentences": 20, **options})


def refusal(**options: Any) -> str:
    with pytest.raises(SpecError) as caught:
        check(spec(**options))
    return str(caught.value)


def test_a_sweep_that_can_start_has_its_corpus_read(folder: Path) -> None:
    corpus = check(spec())
    assert (corpus.name, len(corpus.train), len(corpus.valid)) == ("embedded", 20, 2)
    assert list((folder / "sweeps").iterdir()) == []
    assert not (folder / "mlflow.db").exists()


# -- resources ---------------------------------------------------------------------------------------


def test_more_than_the_machine_has() -> None:
    cpus, gpus = os.cpu_count() or 1, torch.cuda.device_count()
    assert refusal(cpus=cpus + 1) == (
        f"resources.cpus of a trial must be <= {cpus}, what this machine has, got {cpus + 1};"
        " set RAY_ADDRESS to use a cluster"
    )
    assert refusal(gpus=gpus + 1) == (
        f"resources.gpus of a trial must be <= {gpus}, what this machine has, got {gpus + 1};"
        " set RAY_ADDRESS to use a cluster"
    )
    check(spec(cpus=cpus))


def test_a_cluster_may_have_more(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{somebody.getsockname()[1]}")
        check(spec(cpus=10_000, gpus=64))


# -- corpus ------------------------------------------------------------------------------------------


def test_a_corpus_that_cannot_be_read_leaves_nothing_behind(folder: Path) -> None:
    with pytest.raises(CorpusError, match="got a path that does not exist"):
        check(spec(corpus="absent"))
    with pytest.raises(CorpusError, match="has a vocabulary of 127 words, got vocabulary_size 126"):
        check(spec(vocabulary_size=126))
    assert list(folder.iterdir()) == []


def test_a_variant_that_is_told_labels_needs_them_all(folder: Path) -> None:
    told = {"variants": {"conditional": {}}}
    (folder / "bare.txt").write_text("a b\n" * 8)
    with pytest.raises(CorpusError, match=r"must have label<TAB>sentence in every line .*/bare\.txt$"):
        check(spec(corpus="bare.txt", **told))
    rare = ["x\ta b\n"] * 400 + ["y\tb a\n"] * 2
    for split in ("train", "valid", "test"):
        (folder / f"{split}.txt").write_text("".join(rare))
    with pytest.raises(CorpusError, match=r"every label among the training .* got none with 'y': /"):
        check(spec(corpus=".", **told))
    assert check(spec(corpus=".", name="b")).label_counts == (20, 0)  # whoever is not told does without
    assert check(spec(corpus=".", max_sentences=None, **told)).label_counts == (400, 2)


# -- storage -----------------------------------------------------------------------------------------


def unwritable(path: Path, reason: str) -> str:
    return f"storage must be a folder that can be written, got {reason!r}: {path}"


def test_a_storage_that_is_a_file(folder: Path) -> None:
    (folder / "file").touch()
    assert refusal(storage="file") == unwritable(folder / "file", "File exists")
    assert refusal(storage="file/below") == unwritable(folder / "file" / "below", "Not a directory")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
def test_a_storage_where_nothing_can_be_made() -> None:
    assert refusal(storage="/proc/sweeps") == unwritable(Path("/proc/sweeps"), "No such file or directory")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_storage_without_permission(folder: Path) -> None:
    (folder / "sweeps").mkdir(mode=0o555)
    assert refusal() == unwritable(folder / "sweeps", "Permission denied")


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_with_little_left(small_disk: Path) -> None:
    message = refusal(storage=str(small_disk))
    assert message == f"storage must have 200 MB free or more, got 0 MB: {small_disk}"


def test_a_full_disk(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "filler").write_bytes(b"\0" * 100_000)
    assert refusal(storage=str(small_disk)) == unwritable(small_disk, "No space left on device")


def test_a_database_that_cannot_be_written(folder: Path) -> None:
    (folder / "db").mkdir()
    assert refusal(tracking_uri="sqlite:///db") == f"tracking_uri must name a file, got a folder: {folder}/db"
    (folder / "file").touch()
    assert refusal(tracking_uri="sqlite:///file/m.db") == (
        f"the folder of tracking_uri must be a folder that can be written, got 'File exists': {folder}/file"
    )
    check_database(folder / "new" / "m.db")
    check_database(folder / "file")


def test_a_probe_leaves_nothing(folder: Path) -> None:
    check_writable("storage", folder / "x" / "y")
    assert list((folder / "x" / "y").iterdir()) == []


# -- the sweep's folder ------------------------------------------------------------------------------


def test_the_saved_spec_is_the_spec() -> None:
    first = spec(trials=7)
    prepare_folder(first)
    assert {path.name for path in first.folder.iterdir()} == {SPEC_FILE, ".begun.yaml"}
    assert saved_spec("a", {}) == first


def test_a_name_is_used_once(folder: Path) -> None:
    prepare_folder(spec())
    expected = f"name must be new in {folder}/sweeps, got 'a': choose another --name, or try --resume a"
    assert refusal() == expected
    with pytest.raises(SpecError) as caught:
        prepare_folder(spec())
    assert str(caught.value) == expected
    check(spec(), resume=True)
    check(spec(name="b"))


def test_a_folder_without_a_spec_is_in_the_way(folder: Path) -> None:
    (folder / "sweeps" / "a").mkdir(parents=True)
    assert refusal() == (
        f"name must be new in {folder}/sweeps, got 'a': choose another --name,"
        f" or try removing {folder}/sweeps/a"
    )
    with pytest.raises(SpecError) as caught:
        saved_spec("a", {})
    assert str(caught.value) == (
        f"--resume: {folder}/sweeps/a must hold sweep.yaml, got none: start the sweep anew"
    )


def test_of_many_sweeps_of_one_name_one_starts(folder: Path) -> None:
    together = threading.Barrier(8)

    def start() -> str:
        together.wait()
        try:
            return prepare_folder(spec()).name
        except SpecError as error:
            return str(error).split(",")[0]

    with ThreadPoolExecutor(8) as pool:
        ends = [future.result() for future in [pool.submit(start) for _ in range(8)]]
    assert sorted(ends) == ["a"] + [f"name must be new in {folder}/sweeps"] * 7


def test_a_running_sweep_cannot_be_resumed() -> None:
    folder = prepare_folder(spec()).folder
    with sole_user(folder), pytest.raises(SpecError) as caught, sole_user(folder):
        pass
    assert str(caught.value) == f"a sweep must run once at a time, got one that runs already: {folder}"
    with sole_user(folder):
        pass


# -- resuming ----------------------------------------------------------------------------------------


def test_an_unknown_sweep_is_met_with_the_nearest(folder: Path) -> None:
    for name in ("yelp-1", "yahoo"):
        prepare_folder(spec(name=name))
    for name, hint in (
        ("yelp-2", "did you mean 'yelp-1'?"),
        ("q", "known: yahoo, yelp-1"),
        ("..", "known: yahoo, yelp-1"),
    ):
        with pytest.raises(SpecError) as caught:
            saved_spec(name, {})
        assert str(caught.value) == f"--resume: no sweep {name!r} in {folder}/sweeps; {hint}"
    with pytest.raises(SpecError) as caught:
        saved_spec("a", {"storage": "elsewhere"})
    assert str(caught.value) == f"--resume: no sweep 'a' in {folder}/elsewhere; known: none"


def test_the_saved_spec_holds_but_for_the_machine() -> None:
    prepare_folder(spec(trials=7))
    changed = saved_spec("a", {"cpus": 2.0, "max_concurrent": 3, "tracking_uri": "http://x", "trials": None})
    assert (changed.trials, changed.resources.cpus, changed.max_concurrent) == (7, 2.0, 3)
    assert changed.tracking_uri == "http://x"
    with pytest.raises(SpecError) as caught:
        saved_spec("a", {"trials": 3, "max_sentences": 5, "set": [], "cpus": 1.0}, Path("x.yaml"))
    assert str(caught.value) == (
        "--resume: the sweep's saved spec holds, so only --cpus, --gpus, --max-concurrent, --storage,"
        " --tracking-uri, --max-tokens, --max-hours, --max-gpu-hours, --max-cost, --price, --deadline may"
        " change, got SPEC, --trials, --max-sentences"
    )


def test_a_folder_that_was_moved_is_resumed_where_it_lies(folder: Path) -> None:
    prepare_folder(spec()).folder.rename(folder / "b")
    found = saved_spec("b", {"storage": str(folder)})
    assert found.folder == folder / "b"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("epochs: auto", "epochs: 40"), "epochs must be as it was when the sweep began, 'auto', got 40"),
        (("trials: 3", "trials: 9"), "trials must be as it was when the sweep began, 3, got 9"),
        (("max_concurrent: null", "max_concurrent: 2"), None),
        (("  cpus: 1.0", "  cpus: 0.5"), None),
    ],
)
def test_an_edited_spec_is_no_longer_the_sweeps(
    edit: tuple[str, str], said: str | None, folder: Path
) -> None:
    file = prepare_folder(spec()).folder / SPEC_FILE
    text = file.read_text()
    assert edit[0] in text
    file.write_text(text.replace(*edit))
    if said is None:
        saved_spec("a", {})
        return
    with pytest.raises(SpecError) as caught:
        saved_spec("a", {})
    assert str(caught.value) == f"{file}: {said}: put it back, or start another sweep"


def test_sweeps_without_a_name_may_start_within_a_second(folder: Path) -> None:
    first = SweepSpec.load(None, {"max_sentences": 20})
    names = [prepare_folder(first).name for _ in range(3)]
    assert names == [first.name, f"{first.name}-2", f"{first.name}-3"]
    assert {path.name for path in (folder / "sweeps").iterdir()} == set(names)
    assert saved_spec(names[2], {}).name == names[2]
    check(first)


def test_a_resume_is_over_the_same_text(folder: Path) -> None:
    keep_corpus(folder, "aaaa")
    keep_corpus(folder, "aaaa")
    with pytest.raises(
        SpecError, match=r"as it was when the sweep began \(aaaa\), got another text \(bbbb\)"
    ):
        keep_corpus(folder, "bbbb")
    keep_corpus(folder, "aaaa")
