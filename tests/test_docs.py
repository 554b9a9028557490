"""The documentation names what there is: keys, knobs, variants, options, files."""

import re
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from orchestrator.report import app as report
from orchestrator.reproduce import app as reproduce
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.sweep import app as sweep
from search_spaces.space import Extent, load_space
from tests.paths import ROOT
from trainables.variants import load_variant, variant_names

SPEC = (ROOT / "docs" / "spec.md").read_text(encoding="utf-8")
MLFLOW = (ROOT / "docs" / "mlflow.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def first_columns(text: str, heading: str) -> set[str]:
    """The words in backticks in the first column of the table below the heading."""
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}


def test_every_key_is_described() -> None:
    assert first_columns(SPEC, "Keys") == set(SweepSpec.model_fields)


def test_every_knob_is_described() -> None:
    variants = [load_variant(name) for name in variant_names()]
    slots = {slot: parts for variant in variants for slot, parts in variant.slots().items()}
    changes = [{slot: name} for slot, parts in slots.items() for name in parts]
    knobs = {
        knob for variant in variants for change in changes for knob in variant.with_knobs(change).knobs()
    }
    assert first_columns(SPEC, "Knobs") == knobs


def test_the_described_options_exist() -> None:
    """Those of a command of ours behind its name, all others of the sweep."""
    known = {
        name: {option for parameter in get_command(app).params for option in parameter.opts}
        for name, app in (("sweep", sweep), ("report", report), ("reproduce", reproduce))
    }
    described = set(re.findall(r"`(--[a-z-]+)", SPEC + README + MLFLOW))
    assert described <= set().union(*known.values())
    assert len(described) > 10
    for command, options in known.items():
        for words in re.findall(rf"orchestrator\.{command} ([^`#\n]*)", SPEC + README + MLFLOW):
            assert set(re.findall(r"(?<!\S)--[a-z-]+", words)) <= {*options, "--help"}, words


def test_the_readme_lists_the_variants_and_what_is_searched() -> None:
    for name in set(variant_names()) - {"language_model"}:
        (row,) = [line for line in README.splitlines() if line.startswith(f"| `{name}` |")]
        assert set(re.findall(r"`([a-z_]+)`", row)) == {name} | set(
            load_space(name).distributions(Extent(12))
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [
        target for target in targets if "://" not in target and not (page.parent / target).resolve().exists()
    ]
    assert missing == []


def test_nothing_of_the_project_is_ignored_by_git() -> None:
    """What git ignores is not sent to a cluster, though it may be in the repository."""
    if not (ROOT / ".git").exists():
        pytest.skip("no repository")
    ignored = subprocess.run(
        ["git", "ls-files", "-ci", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ignored.stdout == ""
