"""Each check of the architecture is shown to fail on a small bad module, and not to on a good one."""

from pathlib import Path

import pytest

from tests.architecture import circles, files
from tests.test_architecture import (
    FEW_LINES,
    MOST_LINES,
    MOST_MODULES,
    crowded,
    loaded,
    long_files,
    modules_of,
    repeating,
    unexplained,
    wrong_arrows,
    wrong_imports,
)


def write(root: Path, path: str, text: str) -> None:
    for parent in (root / path).relative_to(root).parents:
        if parent.parts:
            (root / parent).mkdir(parents=True, exist_ok=True)
            (root / parent / "__init__.py").touch()
    (root / path).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("path", "line", "reason"),
    [
        ("trainables/model/text_vae.py", "import orchestrator.spec", "at the bottom"),
        ("trainables/model/text_vae.py", "from search_spaces import beta", "at the bottom"),
        ("trainables/model/text_vae.py", "from ... import orchestrator", "at the bottom"),
        ("trainables/model/text_vae.py", "import pandas as pd", "torch alone"),
        ("trainables/variants/beta.py", "def build():\n    import mlflow", "torch alone"),
        ("trainables/training/loop.py", "from ray import tune", "knows Ray"),
        ("trainables/training/loop.py", "import importlib\nimportlib.import_module('ray.tune')", "knows Ray"),
        ("trainables/trainable.py", "from optuna import Trial", "torch alone"),
        ("search_spaces/beta.py", "import orchestrator", "names knobs"),
        ("search_spaces/beta.py", "import numpy", "names knobs"),
        ("search_spaces/beta.py", "from optuna.samplers import TPESampler", "names knobs"),
        ("search_spaces/beta.py", "from optuna import samplers", "orchestrator's choice"),
        ("search_spaces/beta.py", "import optuna\nx = optuna.samplers.TPESampler()", "orchestrator's choice"),
        ("orchestrator/running/ending.py", "if True:\n    from mlflow import log_metric", "tracking alone"),
        ("orchestrator/spec/file.py", "def read():\n    from datasets import load_dataset", "optional extra"),
        ("trainables/text/corpora.py", "import datasets", "optional extra"),
        ("orchestrator/analysis/frontier.py", "from ray.tune import Tuner", "arithmetic"),
        ("orchestrator/report.py", "from tests.helpers import x", "without its tests"),
        ("orchestrator/report.py", "import benchmarks", "without its tests"),
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, path: str, line: str, reason: str) -> None:
    write(tmp_path, path, line)
    found = wrong_imports(tmp_path)
    assert any(reason in text and text.startswith(path) for text in found)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("trainables/trainable.py", "from ray import tune"),
        (
            "trainables/variants/beta.py",
            "from ..model.variant import Variant\nfrom trainables.parts.rates import Rate",
        ),
        ("search_spaces/beta.py", "from optuna.distributions import IntDistribution\nimport math"),
        ("search_spaces/beta.py", "import optuna\nx = optuna.distributions\nfrom trainables import variants"),
        ("search_spaces/beta.py", "from . import space\nfrom collections.abc import Mapping"),
        ("orchestrator/tracking/tracker.py", "import mlflow"),
        ("orchestrator/recorded/sweep_reader.py", "from mlflow.entities import Metric"),
        (
            "orchestrator/search/sweep_searcher.py",
            "from optuna.samplers import TPESampler\nfrom search_spaces import beta",
        ),
        ("orchestrator/spec/dataset_source.py", "def read():\n    import datasets"),
        ("orchestrator/analysis/frontier.py", "import moocore\nimport raymond"),
    ],
)
def test_a_right_import_is_not(tmp_path: Path, path: str, line: str) -> None:
    write(tmp_path, path, line)
    assert wrong_imports(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "line", "arrow"),
    [
        ("orchestrator/common/wording.py", "from orchestrator.spec.file import x", ("common", "spec")),
        ("orchestrator/spec/file.py", "def f():\n    import orchestrator.search.plan", ("spec", "search")),
        (
            "orchestrator/analysis/gain.py",
            "import typing\nif typing.TYPE_CHECKING:\n    from orchestrator.analysis.sweeps import x",
            ("analysis", "analysis.sweeps"),
        ),
        ("orchestrator/tracking/note.py", "from ..reports.tables import x", ("tracking", "reports.tables")),
        ("orchestrator/garage/car.py", "from orchestrator.common.wording import x", ("garage", "common")),
    ],
)
def test_a_wrong_arrow_is_found(tmp_path: Path, path: str, line: str, arrow: tuple[str, str]) -> None:
    here, there = (f"orchestrator.{room}" for room in arrow)
    write(tmp_path, path, line)
    name = "__init__" if there.count(".") == 1 else "x"
    for room, module in ((there, "x"), ("orchestrator.spec", "file"), ("orchestrator.search", "plan"),
                         ("orchestrator.common", "wording"), (there, name)):  # fmt: skip
        target = tmp_path.joinpath(*room.split("."), f"{module}.py")
        if not target.exists():
            write(tmp_path, str(target.relative_to(tmp_path)), "")
    assert [text.partition(":")[0] for text in wrong_arrows(tmp_path)] == [f"{here} must not import {there}"]


def test_circles_are_found(tmp_path: Path) -> None:
    write(tmp_path, "trainables/a.py", "from trainables.b import x")
    write(tmp_path, "trainables/b.py", "def f():\n    from trainables import c")
    write(tmp_path, "trainables/c.py", "x = 1")
    assert circles(files(tmp_path)) == []
    write(
        tmp_path,
        "trainables/c.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import trainables.a",
    )
    assert circles(files(tmp_path)) == ["trainables.a", "trainables.b", "trainables.c"]


def test_a_crowded_room_is_found(tmp_path: Path) -> None:
    for number in range(MOST_MODULES + 1):
        assert crowded(tmp_path) == []
        write(tmp_path, f"orchestrator/spec/m{number}.py", "")
        write(tmp_path, f"trainables/variants/m{number}.py", "")
    assert crowded(tmp_path) == ["orchestrator/spec: 16 modules"]


def test_a_name_said_twice_is_found(tmp_path: Path) -> None:
    write(tmp_path, "orchestrator/spec/file.py", "")
    write(tmp_path, "orchestrator/tracking/tracking_note.py", "")
    assert repeating(tmp_path) == ["orchestrator/tracking/tracking_note.py"]


def test_what_does_not_say_what_it_is_for_is_found(tmp_path: Path) -> None:
    write(tmp_path, "orchestrator/spec/file.py", '"""Reads files."""')
    write(tmp_path, "orchestrator/spec/options.py", '"""Options. Apart, for files know none."""')
    write(tmp_path, "orchestrator/spec/__init__.py", '"""What is asked. It runs nothing."""')
    (tmp_path / "orchestrator" / "__init__.py").write_text('"""All. In one. In rooms."""')
    assert unexplained(tmp_path) == ["orchestrator/spec/file.py: 1 sentences"]
    write(tmp_path, "orchestrator/spec/file.py", '"""Reads files."""\n' + "x = 1\n" * FEW_LINES)
    (tmp_path / "orchestrator" / "spec" / "__init__.py").write_text('"""What is asked."""')
    assert unexplained(tmp_path) == ["orchestrator/spec/__init__.py: 1 sentences"]


def test_a_long_file_is_found(tmp_path: Path) -> None:
    write(tmp_path, "trainables/model/text_vae.py", "x = 1\n" * MOST_LINES)
    assert long_files(tmp_path) == []
    write(tmp_path, "trainables/model/text_vae.py", "x = 1\n" * (MOST_LINES + 1))
    assert long_files(tmp_path) == [f"trainables/model/text_vae.py: {MOST_LINES + 1} lines"]


def test_a_package_loaded_on_the_way_is_found(tmp_path: Path) -> None:
    write(tmp_path, "trainables/training/loop.py", "from trainables.helper import x")
    write(tmp_path, "trainables/helper.py", "import sqlite3\nx = 1")
    assert loaded(tmp_path, modules_of(tmp_path, "trainables"), ("sqlite3", "ray")) == ["sqlite3"]
