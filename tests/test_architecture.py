"""Who imports whom (``orchestrator → search_spaces → trainables``, never back), and how long a file may be.

Imports are read from the source, wherever they stand; what importing really loads is checked in a fresh
interpreter. Each check is shown to be able to fail on a small bad module.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.paths import ROOT

PACKAGES = ("orchestrator", "search_spaces", "trainables")
MOST_LINES = 350


@dataclass(frozen=True)
class Rule:
    """Modules under ``of``, ``except_`` aside, import nothing of ``never``; or nothing beyond the standard
    library but what is under ``only`` and ``exactly`` what is named there."""

    of: tuple[str, ...]
    reason: str
    except_: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    exactly: tuple[str, ...] = ()

    def concerns(self, module: str) -> bool:
        return within(module, self.of) and not any(within(module, (name,)) for name in self.except_)

    def forbids(self, imported: str) -> bool:
        if self.only:
            return not (imported in self.exactly or within(imported, self.only) or standard(imported))
        return within(imported, self.never)


RULES = (
    Rule(("trainables",), "trainables stand at the bottom", never=("orchestrator", "search_spaces")),
    Rule(
        ("trainables",),
        "training runs with torch alone",
        never=("mlflow", "optuna", "pandas", "scipy", "sklearn", "yaml", "pydantic", "typer", "rich"),
    ),
    Rule(
        ("trainables",),
        "only the trainable itself knows Ray",
        except_=("trainables.trainable",),
        never=("ray",),
    ),
    Rule(
        ("search_spaces",),
        "a search space names knobs and their distributions",
        only=("optuna.distributions", "search_spaces", "trainables"),
        exactly=("optuna",),
    ),
    Rule(
        ("search_spaces", "trainables"),
        "the sampler is the orchestrator's choice",
        never=("optuna.samplers",),
    ),
    Rule(
        PACKAGES,
        "tracking alone writes to MLflow",
        except_=("orchestrator.tracking*",),
        never=("mlflow",),
    ),
    Rule(
        PACKAGES,
        "one module alone knows the optional extra",
        except_=("orchestrator.dataset_source",),
        never=("datasets",),
    ),
    Rule(
        (
            *("orchestrator.comparison", "orchestrator.equal_compute", "orchestrator.frontier"),
            *("orchestrator.attainment", "orchestrator.paired_comparison", "orchestrator.sweep_tests"),
            *("orchestrator.sweep_comparison", "orchestrator.importance"),
        ),
        "the frontier is arithmetic",
        never=("ray", "mlflow"),
    ),
    Rule(PACKAGES, "the product does without its tests and benchmarks", never=("tests", "benchmarks")),
)


def within(module: str, names: tuple[str, ...]) -> bool:
    """Is ``module`` one of ``names``, inside one, or named like one that ends in ``*``?"""
    return any(
        module == name
        or module.startswith(f"{name}.")
        or (name.endswith("*") and module.startswith(name.removesuffix("*")))
        for name in names
    )


def standard(module: str) -> bool:
    return module.split(".")[0] in sys.stdlib_module_names


def sources(root: Path, *folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (root / folder).rglob("*.py"))


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """Each imported name, as ``(line, "package.module.name")``, and each ``optuna.<name>`` in use."""
    package = ".".join(path.relative_to(root).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        match node:
            case ast.Import():
                yield from ((node.lineno, alias.name) for alias in node.names)
            case ast.ImportFrom():
                base = node.module or ""
                if node.level:
                    above = package.split(".")[: len(package.split(".")) - node.level + 1]
                    base = ".".join([*above, base])
                yield from (
                    (node.lineno, f"{base}.{alias.name}".lstrip(".").replace("..", "."))
                    for alias in node.names
                )
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__")
            ):
                if (
                    node.args
                    and isinstance(node.args[0], ast.Constant)
                    and isinstance(node.args[0].value, str)
                ):
                    yield node.lineno, node.args[0].value
            case ast.Attribute(value=ast.Name(id="optuna")):
                yield node.lineno, f"optuna.{node.attr}"


def wrong_imports(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}:{line} imports {imported}: {rule.reason}"
        for path in sources(root, *PACKAGES)
        for line, imported in imports(path, root)
        for rule in RULES
        if rule.concerns(module_name(path, root)) and rule.forbids(imported)
    ]


def long_files(root: Path) -> list[str]:
    counted = {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for path in sources(root, *PACKAGES, "benchmarks", "tests", ".ci")
    }
    return [
        f"{path.relative_to(root)}: {lines} lines" for path, lines in counted.items() if lines > MOST_LINES
    ]


def loaded(root: Path, modules: list[str], forbidden: tuple[str, ...]) -> list[str]:
    """Which of the forbidden packages a fresh interpreter holds after importing the modules."""
    program = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print(*sorted(set({forbidden!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def modules_of(root: Path, package: str) -> list[str]:
    return [module_name(path, root) for path in sources(root, package)]


# -- the checkout ----------------------------------------------------------------------------------


def test_imports_go_one_way() -> None:
    assert wrong_imports(ROOT) == []


def test_no_file_is_too_long() -> None:
    assert long_files(ROOT) == []


def test_training_loads_torch_alone() -> None:
    modules = [name for name in modules_of(ROOT, "trainables") if name != "trainables.trainable"]
    assert "trainables.training" in modules
    assert loaded(ROOT, modules, ("ray", "mlflow", "optuna", "orchestrator", "search_spaces")) == []


def test_search_spaces_load_neither_ray_nor_mlflow() -> None:
    modules = modules_of(ROOT, "search_spaces")
    assert "search_spaces" in modules
    assert loaded(ROOT, modules, ("ray", "mlflow", "orchestrator", "trainables.trainable")) == []


def test_the_frontier_loads_neither_ray_nor_mlflow_nor_torch() -> None:
    modules = ["orchestrator.equal_compute", "orchestrator.frontier", "orchestrator.sweep_comparison"]
    assert loaded(ROOT, modules, ("ray", "mlflow", "torch")) == []


# -- the checks can fail ---------------------------------------------------------------------------


def write(root: Path, path: str, text: str) -> None:
    for parent in (root / path).relative_to(root).parents:
        if parent.parts:
            (root / parent).mkdir(parents=True, exist_ok=True)
            (root / parent / "__init__.py").touch()
    (root / path).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("path", "line", "reason"),
    [
        ("trainables/model.py", "import orchestrator.spec", "at the bottom"),
        ("trainables/model.py", "from search_spaces import beta", "at the bottom"),
        ("trainables/model.py", "from .. import orchestrator", "at the bottom"),
        ("trainables/model.py", "import pandas as pd", "torch alone"),
        ("trainables/variants/beta.py", "def build():\n    import mlflow", "torch alone"),
        ("trainables/training.py", "from ray import tune", "knows Ray"),
        ("trainables/training.py", "import importlib\nimportlib.import_module('ray.tune')", "knows Ray"),
        ("trainables/trainable.py", "from optuna import Trial", "torch alone"),
        ("search_spaces/beta.py", "import orchestrator", "names knobs"),
        ("search_spaces/beta.py", "import numpy", "names knobs"),
        ("search_spaces/beta.py", "from optuna.samplers import TPESampler", "names knobs"),
        ("search_spaces/beta.py", "from optuna import samplers", "orchestrator's choice"),
        ("search_spaces/beta.py", "import optuna\nx = optuna.samplers.TPESampler()", "orchestrator's choice"),
        ("orchestrator/runner.py", "if True:\n    from mlflow import log_metric", "tracking alone"),
        ("orchestrator/spec.py", "def read():\n    from datasets import load_dataset", "optional extra"),
        ("trainables/corpora.py", "import datasets", "optional extra"),
        ("orchestrator/frontier.py", "from ray.tune import Tuner", "arithmetic"),
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
        ("trainables/variants/beta.py", "from ..variant import Variant\nfrom trainables.rates import Rate"),
        ("search_spaces/beta.py", "from optuna.distributions import IntDistribution\nimport math"),
        ("search_spaces/beta.py", "import optuna\nx = optuna.distributions\nfrom trainables import variant"),
        ("search_spaces/beta.py", "from . import space\nfrom collections.abc import Mapping"),
        ("orchestrator/tracking.py", "import mlflow"),
        ("orchestrator/tracking_outbox.py", "from mlflow.entities import Metric"),
        ("orchestrator/search.py", "from optuna.samplers import TPESampler\nfrom search_spaces import beta"),
        ("orchestrator/dataset_source.py", "def read():\n    import datasets"),
        ("orchestrator/frontier.py", "import moocore\nimport raymond"),
    ],
)
def test_a_right_import_is_not(tmp_path: Path, path: str, line: str) -> None:
    write(tmp_path, path, line)
    assert wrong_imports(tmp_path) == []


def test_a_long_file_is_found(tmp_path: Path) -> None:
    write(tmp_path, "trainables/model.py", "x = 1\n" * MOST_LINES)
    assert long_files(tmp_path) == []
    write(tmp_path, "trainables/model.py", "x = 1\n" * (MOST_LINES + 1))
    assert long_files(tmp_path) == [f"trainables/model.py: {MOST_LINES + 1} lines"]


def test_a_package_loaded_on_the_way_is_found(tmp_path: Path) -> None:
    write(tmp_path, "trainables/training.py", "from trainables.helper import x")
    write(tmp_path, "trainables/helper.py", "import sqlite3\nx = 1")
    assert loaded(tmp_path, modules_of(tmp_path, "trainables"), ("sqlite3", "ray")) == ["sqlite3"]
