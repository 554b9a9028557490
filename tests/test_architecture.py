"""The rooms of the house, what each may import, and how large a room and a file may be.

That each check can fail is shown in test_architecture_fails.py; the picture of the rooms is docs/rooms.svg.
"""

import ast
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import architecture
from tests.architecture import (
    PACKAGES,
    PICTURE,
    circles,
    essential,
    files,
    imports,
    module_name,
    sources,
    svg,
)
from tests.paths import ROOT

MAY_IMPORT = {
    "orchestrator": "orchestrator.running",
    "orchestrator.running": "orchestrator.examination orchestrator.recorded orchestrator.budget"
    " orchestrator.trials",
    "orchestrator.trials": "orchestrator.cluster orchestrator.search",
    "orchestrator.budget": "orchestrator.search",
    "orchestrator.cluster": "orchestrator.aws trainables",
    "orchestrator.aws": "orchestrator.spec",
    "orchestrator.recorded": "orchestrator.tracking orchestrator.analysis.sweeps",
    "orchestrator.examination": "orchestrator.reports orchestrator.tracking",
    "orchestrator.posterior_means": "orchestrator.reports.figures",
    "orchestrator.reports": "orchestrator.reports.figures",
    "orchestrator.reports.figures": "orchestrator.reports.tables",
    "orchestrator.reports.tables": "orchestrator.analysis.sweeps",
    "orchestrator.tracking": "orchestrator.tracking.shown",
    "orchestrator.tracking.shown": "orchestrator.tracking.delivery",
    "orchestrator.tracking.delivery": "orchestrator.tracking.models",
    "orchestrator.tracking.models": "orchestrator.tracking.server orchestrator.analysis trainables",
    "orchestrator.tracking.server": "orchestrator.common",
    "orchestrator.analysis.sweeps": "orchestrator.analysis",
    "orchestrator.analysis": "orchestrator.search",
    "orchestrator.search": "orchestrator.spec",
    "orchestrator.spec": "orchestrator.common search_spaces trainables.training",
    "orchestrator.common": "",
    "search_spaces": "trainables.variants",
    "trainables": "trainables.training",
    "trainables.training": "trainables.evaluation",
    "trainables.evaluation": "trainables.variants",
    "trainables.variants": "trainables.model",
    "trainables.model": "trainables.latents",
    "trainables.latents": "trainables.parts",
    "trainables.parts": "trainables.text trainables.common",
    "trainables.text": "",
    "trainables.common": "",
}
"""Of each room the rooms right below it. It may import those and all that they may."""

MOST_LINES, MOST_MODULES, FEW_LINES = 350, 15, 40
ONE_FILE_A_VARIANT = ("trainables.variants", "search_spaces")
"""Found by their names, all alike: so many as there are variants, each as short as it can be."""


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
        "tracking alone writes to MLflow, recorded alone reads it",
        except_=("orchestrator.tracking", "orchestrator.recorded"),
        never=("mlflow",),
    ),
    Rule(
        PACKAGES,
        "one module alone knows the optional extra",
        except_=("orchestrator.spec.dataset_source",),
        never=("datasets",),
    ),
    Rule(("orchestrator.analysis",), "the frontier is arithmetic", never=("ray", "mlflow", "rich", "plotly")),
    Rule(PACKAGES, "the product does without its tests and benchmarks", never=("tests", "benchmarks")),
)


def within(module: str, names: tuple[str, ...]) -> bool:
    """Is ``module`` one of ``names``, or inside one?"""
    return any(module == name or module.startswith(f"{name}.") for name in names)


def standard(module: str) -> bool:
    return module.split(".")[0] in sys.stdlib_module_names


def wrong_imports(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}:{line} imports {imported}: {rule.reason}"
        for path in sources(root, *PACKAGES)
        for line, imported in imports(path, root)
        for rule in RULES
        if rule.concerns(module_name(path, root)) and rule.forbids(imported)
    ]


def allowed(room: str) -> set[str]:
    """The rooms below a room, after `MAY_IMPORT`; it fails for a table that has circles."""
    right_below = MAY_IMPORT[room].split()
    return set(right_below).union(*(allowed(other) for other in right_below))


def wrong_arrows(root: Path) -> list[str]:
    """The imports from a room into one that is not below it."""
    known = architecture.modules(root)
    found = []
    for name, targets in files(root).items():
        here = architecture.room_of(name, known[name])
        for target in sorted(targets):
            there = architecture.room_of(target, known[target])
            if here != there and (here not in MAY_IMPORT or there not in allowed(here)):
                found.append(f"{here} must not import {there}: {name} imports {target}")
    return found


def crowded(root: Path) -> list[str]:
    """Rooms with too many modules."""
    folders = {path.parent for path in sources(root, *PACKAGES)}
    count = {folder: len([*folder.glob("*.py")]) - (folder / "__init__.py").is_file() for folder in folders}
    return sorted(
        f"{folder.relative_to(root)}: {modules} modules"
        for folder, modules in count.items()
        if modules > MOST_MODULES and ".".join(folder.relative_to(root).parts) not in ONE_FILE_A_VARIANT
    )


def repeating(root: Path) -> list[str]:
    """Files that say the name of their folder again."""
    return [
        str(path.relative_to(root))
        for path in sources(root, *PACKAGES)
        if path.stem.startswith(path.parent.name) and path.parent.parent != root
    ]


def sentences(text: str | None) -> int:
    return len(re.findall(r"\.(?=\s|$)", text or ""))


def unexplained(root: Path) -> list[str]:
    """Rooms that do not say what they are for and what they never do; short modules that do not say why they
    stand alone."""
    found = []
    for path in sources(root, *PACKAGES):
        text = path.read_text(encoding="utf-8")
        said = sentences(ast.get_docstring(ast.parse(text)))
        room = path.name == "__init__.py"
        alike = module_name(path, root).rpartition(".")[0] in ONE_FILE_A_VARIANT
        if (room and not 2 <= said <= 3) or (
            not room and not alike and len(text.splitlines()) < FEW_LINES and said < 2
        ):
            found.append(f"{path.relative_to(root)}: {said} sentences")
    return found


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


def test_rooms_import_what_is_below_them() -> None:
    assert wrong_arrows(ROOT) == []


def test_the_table_is_the_house() -> None:
    """No room is missing from it, and every arrow in it is there for an import."""
    essentials = essential(architecture.rooms(ROOT))
    assert {room: set(others) for room, others in essentials.items()} == {
        room: set(others.split()) for room, others in MAY_IMPORT.items()
    }


def test_no_file_stands_in_a_circle() -> None:
    assert circles(files(ROOT)) == []


def test_the_picture_shows_the_house() -> None:
    """`make rooms` draws it anew."""
    assert PICTURE.read_text(encoding="utf-8") == svg(essential(architecture.rooms(ROOT)))


def test_rooms_are_small_and_say_what_they_are_for() -> None:
    assert crowded(ROOT) == []
    assert repeating(ROOT) == []
    assert unexplained(ROOT) == []


def test_no_file_is_too_long() -> None:
    assert long_files(ROOT) == []


def test_training_loads_torch_alone() -> None:
    modules = [name for name in modules_of(ROOT, "trainables") if name != "trainables.trainable"]
    assert "trainables.training.loop" in modules
    assert loaded(ROOT, modules, ("ray", "mlflow", "optuna", "orchestrator", "search_spaces")) == []


def test_search_spaces_load_neither_ray_nor_mlflow() -> None:
    modules = modules_of(ROOT, "search_spaces")
    assert "search_spaces" in modules
    assert loaded(ROOT, modules, ("ray", "mlflow", "orchestrator", "trainables.trainable")) == []


def test_the_frontier_loads_neither_ray_nor_mlflow_nor_torch() -> None:
    analysis = "orchestrator.analysis"
    modules = [f"{analysis}.equal_compute", f"{analysis}.frontier", f"{analysis}.sweeps.comparison"]
    assert loaded(ROOT, modules, ("ray", "mlflow", "torch")) == []


@pytest.mark.slow
def test_a_sweep_loads_scikit_learn_only_where_there_are_labels() -> None:
    assert loaded(ROOT, ["orchestrator.running.sweep_run"], ("mlflow", "ray", "sklearn")) == ["mlflow", "ray"]


@pytest.mark.slow
def test_what_a_trial_imports_is_not_looked_through_for_garbage() -> None:
    """Some 680 times as Python comes."""
    program = "import gc, trainables.trainable; print(sum(each['collections'] for each in gc.get_stats()))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert 0 < int(done.stdout) < 30
