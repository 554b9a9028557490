"""The folder of a sweep that is begun or gone on with by the same command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.running.folder import begun, check_lasting, keep_corpus, prepare_folder
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sweep_spec import SweepSpec


def spec(folder: Path, **options: Any) -> SweepSpec:
    return SweepSpec.load(None, {"storage": str(folder), "variants": "vanilla", **options})


def test_it_begins_and_then_goes_on(tmp_path: Path) -> None:
    assert not begun(spec(tmp_path, name="s"))
    prepare_folder(spec(tmp_path, name="s"))
    assert begun(spec(tmp_path, name="s"))
    assert not begun(spec(tmp_path, name="other"))


def test_machines_may_change(tmp_path: Path) -> None:
    prepare_folder(spec(tmp_path, name="s"))
    assert begun(spec(tmp_path, name="s", cpus=2.0, gpus=0.5, max_concurrent=3, tracking_uri="http://a:1"))


def test_the_folder_of_the_corpus_may_change_and_its_text_may_not(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text("a b\n" * 30)
    began = prepare_folder(spec(tmp_path, name="s", corpus=str(tmp_path / "one.txt")))
    assert begun(spec(tmp_path, name="s", corpus=str(tmp_path / "two.txt")))
    keep_corpus(began.folder, "digest")
    keep_corpus(began.folder, "digest")
    with pytest.raises(SpecError, match=r"corpus must be as it was when the sweep began \(digest\), got an"):
        keep_corpus(began.folder, "other")


def test_another_spec_is_refused(tmp_path: Path) -> None:
    prepare_folder(spec(tmp_path, name="s", trials=3))
    with pytest.raises(SpecError) as caught:
        begun(spec(tmp_path, name="s", trials=4))
    assert str(caught.value) == (
        "--go-on: trials must be as it was when the sweep began, 3, got 4:"
        " put it back, or choose another --name"
    )


def test_without_a_name_it_would_never_be_found(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"^--go-on: must come with the sweep's --name, .* got none$"):
        begun(spec(tmp_path))


@pytest.mark.parametrize("key", ["storage", "checkpoints"])
def test_nothing_lies_in_the_package_of_a_job(key: str) -> None:
    package = "/tmp/ray/session_x/runtime_resources/working_dir_files/_ray_pkg_0123/sweeps"
    check_lasting(SweepSpec.load(None, {"storage": "/efs/sweeps"}))
    changed = SweepSpec.load(None).model_copy(update={key: Path(package) if key == "storage" else package})
    with pytest.raises(SpecError, match=f"^{key} must lie outside of the package .* got {package}: give"):
        check_lasting(changed)
