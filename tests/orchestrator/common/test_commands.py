"""Commands in messages work in the user's shell."""

import os
import sys
from pathlib import Path

import pytest

from orchestrator.common.commands import from_here, program, sweep_command


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    programs = tmp_path / "project" / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "mlflow"):
        (programs / name).touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path / "project")
    return programs


def test_a_path_where_the_environment_is_not_activated(environment: Path) -> None:
    assert program("mlflow") == ".venv/bin/mlflow"


def test_the_name_where_it_is(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{environment}{os.pathsep}/nowhere")
    assert program("mlflow") == "mlflow"


def test_the_whole_path_from_far_away(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = environment.parents[2] / "a" / "b"
    far.mkdir(parents=True)
    monkeypatch.chdir(far)
    assert program("mlflow") == str(environment / "mlflow")


def test_the_name_where_there_is_no_such_program(environment: Path) -> None:
    assert program("tensorboard") == "tensorboard"


def test_what_goes_on_with_a_sweep_names_its_storage_unless_it_is_the_usual_one(environment: Path) -> None:
    here = Path.cwd()
    again = [".venv/bin/python", "-m", "orchestrator.sweep", "--resume", "s"]
    assert sweep_command("s", here / "sweeps", "--resume") == again
    assert sweep_command("s", here.parent / "disk", "--resume") == [*again, "--storage", "../disk"]


def test_a_path_climbs_once_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert from_here(tmp_path / "a" / "b" / "c" / "d") == "c/d"
    assert from_here(tmp_path / "a" / "d") == "../d"
    assert from_here(tmp_path / "d") == str(tmp_path / "d")
