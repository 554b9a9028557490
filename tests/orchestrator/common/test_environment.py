from __future__ import annotations

import dataclasses
import getpass
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from orchestrator.common import environment as module
from orchestrator.common.environment import Environment
from tests.paths import ROOT


def test_what_is_here() -> None:
    here = Environment.here({"CPU": 2.0})
    assert here.python == platform.python_version()
    assert here.packages["torch"] == metadata.version("torch")
    assert here.cpus == len(os.sched_getaffinity(0))
    assert here.machine == platform.machine()
    assert here.cluster == {"CPU": 2.0}


def test_every_dependency_of_the_project_that_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[^a-z-]", entry, maxsplit=1)[0] for entry in project["dependencies"]}
    assert names <= set(module._PACKAGES)
    assert names <= Environment.here().packages.keys()
    assert set(module._PACKAGES) - names == {"datasets"}
    assert project["name"] == module.PROJECT


def test_there_and_back() -> None:
    here = Environment.here({"CPU": 2.0, "GPU": 0.5})
    assert Environment.from_json(here.to_json()) == here
    device = dataclasses.replace(here, cuda=("NVIDIA H100", "NVIDIA H100"), commit=None, dirty=None)
    assert Environment.from_json(device.to_json()) == device


@pytest.mark.parametrize("text", ["[]", "{}", '{"python": "3.11"}', "x"])
def test_something_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must have|Expecting value"):
        Environment.from_json(text)


def test_it_names_no_user_no_host_and_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    host = socket.gethostname()
    ray = {"CPU": 2.0, "memory": 1e9, "node:10.1.2.3": 1.0, "node:__internal_head__": 1.0,
           "accelerator_type:H100": 1.0, f"bundle_group_{host}": 1.0}  # fmt: skip
    text = Environment.here(ray).to_json()
    assert Environment.from_json(text).cluster == {"CPU": 2.0, "accelerator_type:H100": 1.0, "memory": 1e9}
    values = json.dumps([value for value in json.loads(text).values()])
    for secret in ("hush-hush", "10.1.2.3", str(ROOT), str(Path.home()), os.sep + "tmp"):
        assert secret not in values
    assert f'"{getpass.getuser()}' not in values
    assert host not in values


def test_quick_and_without_torch() -> None:
    program = (
        "import sys, time\nstart = time.perf_counter()\n"
        "from orchestrator.common.environment import Environment\n"
        "here = Environment.here()\nprint(time.perf_counter() - start)\n"
        "print(sorted({'torch', 'mlflow', 'ray', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    seconds, loaded = done.stdout.splitlines()
    assert float(seconds) < 0.5
    if not Path("/proc/driver/nvidia").exists():
        assert loaded == "[]"


# -- git ---------------------------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> str:
    names = ("-c", "user.name=n", "-c", "user.email=e@x", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", "-C", str(folder), *names, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository that holds a copy of the module's file."""
    folder = tmp_path / "orchestrator"
    (folder / "common").mkdir(parents=True)
    shutil.copy(module.__file__, folder / "common")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return folder


def test_the_commit_and_whether_files_differ_from_it(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    assert re.fullmatch(r"[0-9a-f]{40}", commit)
    assert module._checkout(checkout) == (commit, False)
    (checkout.parent / "mlflow.db").write_text("x")  # what a sweep leaves there is no change of the code
    assert module._checkout(checkout) == (commit, False)
    with (checkout / "common" / "environment.py").open("a") as file:
        file.write("# changed\n")
    assert module._checkout(checkout) == (commit, True)
    git(checkout, "checkout", "--quiet", "common/environment.py")
    (checkout.parent / "trainables").mkdir()
    (checkout.parent / "trainables" / "mine.py").write_text("# a variant of the user's own\n")
    assert module._checkout(checkout) == (commit, True)


def test_no_checkout_no_git_and_another_projects_checkout(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module._checkout(tmp_path_factory.mktemp("plain")) == (None, None)
    installed = checkout / "site-packages"  # untracked, inside of another project's repository
    (installed / "common").mkdir(parents=True)
    shutil.copy(module.__file__, installed / "common")
    assert module._checkout(installed) == (None, None)
    monkeypatch.setenv("PATH", "")
    assert module._checkout(checkout) == (None, None)


# -- differences -------------------------------------------------------------------------------------


def test_what_may_change_the_last_digits() -> None:
    here = dataclasses.replace(Environment.here(), commit="a" * 40, dirty=False, cpu="x")
    assert here.differences(here) == []
    ray = dataclasses.replace(here, packages={**here.packages, "ray": "0"}, cluster={"CPU": 1.0}, cpus=1)
    assert here.differences(ray) == []
    other = dataclasses.replace(
        here, packages={**here.packages, "torch": "1.0"}, commit="b" * 40, dirty=True, cpu=""
    )
    torch = here.packages["torch"]
    assert here.differences(other) == [
        f"torch {torch} here, 1.0 there",
        "CPU x here, unknown there",
        "git commit aaaaaaaaaaaa here, bbbbbbbbbbbb with changes there",
    ]
