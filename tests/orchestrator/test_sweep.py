"""The command: its help, its errors and their exit status, and what a dry run shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.running.folder import prepare_folder
from orchestrator.spec.length import RULE
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.sweep import app
from tests.paths import ROOT

OPTIONS = [
    "--corpus", "--max-sentences", "--deduplicate", "--variants", "--set", "--preset", "--objective",
    "--sampler", "--kl-floor", "--trials", "--epochs",
    "--baseline-seeds", "--baseline-trials", "--replicates", "--max-replicates", "--max-tokens",
    "--max-hours",     "--max-gpu-hours", "--max-cost", "--price", "--deadline", "--seed", "--cpus", "--gpus",
    "--max-concurrent", "--storage", "--models", "--tracking-uri", "--name", "--resume", "--go-on",
    "--add-trials", "--replay-outbox", "--dry-run", "--plan",
]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")  # put back after a run has set it
    for name in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def sweep(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def process(*arguments: str, columns: int = 80) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.sweep", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": str(columns)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


# -- help --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 120])
def test_help_fits_the_terminal(columns: int) -> None:
    done = process("--help", columns=columns)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[1].strip() == "Usage: python -m orchestrator.sweep [OPTIONS] [SPEC]"
    described = [line.split()[1] for line in lines if line.startswith("│ --")]
    assert described == ["--help", *OPTIONS]
    for panel in ("What is searched", "How much", "Where", "This run", "Examples"):
        assert panel in done.stdout
    assert "python -m orchestrator.sweep --corpus data/yelp --trials 16 --gpus 0.5\n" in done.stdout.replace(
        " " * 2, ""
    ).replace(" \n", "\n")


def test_the_defaults_in_the_help_are_those_of_the_spec() -> None:
    shown = " ".join(process("--help", columns=200).stdout.split())
    spec = SweepSpec.load(None, {"name": "a"})
    assert "--epochs N Epochs of each trial; auto: while validation improves. [default: auto]" in shown
    for option in ("trials", "baseline_seeds", "replicates", "seed"):
        entry = shown[shown.index(f"--{option.replace('_', '-')} N ") :]
        assert entry[entry.index("[default: ") :].startswith(f"[default: {getattr(spec, option)}]")
    assert "[default: sqlite:///mlflow.db]" in shown
    assert "[default: sweeps]" in shown


def test_help_and_mistakes_load_nothing_heavy() -> None:
    program = (
        "import sys\nfrom orchestrator.sweep import app\n"
        "try: app({arguments!r})\nexcept SystemExit: pass\n"
        "print(*sorted({{'ray', 'mlflow', 'torch', 'pandas'}} & set(sys.modules)))"
    )
    for arguments, loaded in ((["--help"], []), (["--trials", "0"], []), (["--variants", "x"], ["torch"])):
        done = subprocess.run(
            [sys.executable, "-c", program.format(arguments=arguments)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines()[-1].split() == loaded


def test_importing_the_command_changes_no_environment() -> None:
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "false"
    sweep("--trials", "0")
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


# -- mistakes ----------------------------------------------------------------------------------------


def test_mistakes_end_with_status_2_on_stderr(folder: Path) -> None:
    (folder / "spec.yaml").write_text("trials: 3\nvariants:\n  cyclical:\n    knobs:\n      cycles: 0\n")
    done = process("spec.yaml", "--epochs", "3")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: spec.yaml:5: cycles must be >= 1, got 0\n"
    assert [path.name for path in folder.iterdir()] == ["spec.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--trials", "0", "--epochs", "0"],
            "--trials: trials must be >= 1, got 0\nerror: --epochs: epochs must be {epochs}, got 0",
        ),
        (
            ["--set", "cycels=3"],
            "--set cycels: no chosen variant has a knob 'cycels'; did you mean 'cycles'?",
        ),
        (["--set", "cycles"], "--set: must be KNOB=VALUE, got 'cycles'"),
        (["--variants", "vanilla,anealed"], "--variants: no variant 'anealed'; did you mean 'annealed'?"),
        (
            ["absent.yaml"],
            "absent.yaml: a spec must be a file that can be read, got 'No such file or directory'",
        ),
        (
            ["--corpus", "absent", "--name", "a"],
            "a corpus is a folder or a text file, got a path that does not exist: {folder}/absent",
        ),
        (["--resume", "a", "--go-on"], "--go-on: must be given without --resume, got both"),
        (["--go-on"], "--go-on: must come with the sweep's --name, to find it again, got none"),
        (["--resume", "a"], "--resume: no sweep 'a' in {folder}/sweeps; known: none"),
        (
            ["--storage", "/dev/null/x", "--max-sentences", "20"],
            "storage must be a folder that can be written, got 'Not a directory': /dev/null/x",
        ),
        (
            ["--cpus", "100000"],
            "resources.cpus of a trial must be <= {cpus}, what this machine has, got 100000;"
            " set RAY_ADDRESS to use a cluster",
        ),
    ],
)
def test_a_mistake(folder: Path, arguments: list[str], message: str) -> None:
    done = sweep(*arguments)
    assert done.stderr == f"error: {message.format(folder=folder, cpus=os.cpu_count(), epochs=RULE)}\n"
    assert (done.exit_code, done.stdout) == (2, "")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--trials", "x"], ["--nothing"], ["--resume"], ["a.yaml", "b.yaml"]])
def test_a_mistake_that_the_parser_finds(arguments: list[str]) -> None:
    done = sweep(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "─ Error ─" in done.stderr


def test_resuming_with_other_options(folder: Path) -> None:
    prepare_folder(SweepSpec.load(None, {"name": "a"}))
    done = sweep("--resume", "a", "--trials", "3", "--set", "cycles=2")
    assert done.exit_code == 2
    assert done.stderr == (
        "error: --resume: the sweep's saved spec holds, so only --cpus, --gpus, --max-concurrent, --storage,"
        " --tracking-uri, --max-tokens, --max-hours, --max-gpu-hours, --max-cost, --price, --deadline may"
        " change, got --trials, --set\n"
    )


# -- dry run -----------------------------------------------------------------------------------------


def test_a_dry_run_shows_the_plan_and_leaves_nothing(folder: Path) -> None:
    (folder / "text.txt").write_text("".join(f"a b c {word} e\n" for word in range(200)))
    (folder / "spec.yaml").write_text(
        "corpus: text.txt\nvariants: [vanilla, cyclical, dilated]\nranges: {dilation: [S, [1, 2]]}\n"
    )
    done = sweep("spec.yaml", "--name", "a", "--trials", "5", "--set", "cycles=3", "--dry-run")
    assert (done.exit_code, done.stderr) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == ["spec.yaml", "text.txt"]
    text, table = done.stdout.split("\n\n", 1)
    (folder / "again.yaml").write_text(text)
    assert SweepSpec.load(folder / "again.yaml").to_yaml() == text + "\n"
    rows = [line.split() for line in table.splitlines() if line.strip()]
    assert table.endswith(
        "trials: of the search + of its best configuration on fresh seeds\n"
        "of a baseline: all its seeds if a best configuration has its decoder\n"
    )
    assert rows[2:-2] == [
        ["language_model", "decoder", "=", "lstm", "5"],
        ["language_model", "decoder", "=", "dilated,", "dilation", "=", "S", "2", "to", "5"],
        ["language_model", "decoder", "=", "dilated,", "dilation", "=", "1-2", "2", "to", "5"],
        ["vanilla", "–", "5"],
        ["cyclical", "cycles", "=", "3", "5", "+", "3"],
        ["ramp_share:", "0.25", "to", "1"],
        ["word_keep_rate:", "0", "to", "1"],
        ["dilated", "dilation:", "S,", "1-2", "5", "+", "3"],
        ["word_keep_rate:", "0", "to", "1"],
        ["in", "all", "30", "trials", "of", "20", "to", "100", "epochs", "30"],
    ]


def test_the_driver_computes_in_one_thread_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trials have the cores: two threads that wait for one in turns took probes five times as long."""
    code = (
        "from orchestrator.sweep import app\n"
        "app(['--dry-run'], standalone_mode=False)\n"
        "import threadpoolctl, torch\n"
        "pools = {pool['num_threads'] for pool in threadpoolctl.threadpool_info()}\n"
        "print('threads', torch.get_num_threads(), *sorted(pools))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "threads 1 1", done.stderr
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert sweep("--dry-run").exit_code == 0
    assert os.environ["OMP_NUM_THREADS"] == "2"


def test_a_dry_run_of_a_saved_sweep() -> None:
    prepare_folder(SweepSpec.load(None, {"name": "a", "trials": 9}))
    done = sweep("--resume", "a", "--dry-run")
    assert done.exit_code == 0
    assert "trials: 9\n" in done.stdout


@pytest.mark.slow
def test_a_plan_says_what_a_sweep_will_take_and_leaves_nothing(folder: Path) -> None:
    few = (
        "--variants",
        "vanilla",
        "--trials",
        "2",
        "--epochs",
        "3",
        "--max-sentences",
        "200",
        "--price",
        "1",
    )
    done = process("--plan", "--name", "a", *few, columns=120)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["language_model", "5", "3"] in [row[:3] for row in rows]
    assert ["vanilla", "2", "3"] in [row[:3] for row in rows]
    assert re.search(r"about \d+ s, \d+ at a time: 0\.\d\d trial-hours, a cost of 0\.\d\d\n", done.stdout)
    assert list(folder.iterdir()) == []
    assert (
        "error: --add-trials: must be given without --plan"
        in process("--plan", "--add-trials", "1", "a").stderr
    )
