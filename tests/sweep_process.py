"""The sweep command in a process of its own, and what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from tests.paths import ROOT

if TYPE_CHECKING:
    from tests.orchestrator.tracking_fixtures import Reader

PATIENCE = 600.0
TRAINS = "ray::ResourceTrainable.train"  # what Tune makes of the trainable and the resources it asks for
FINISHED_LINE = re.compile(
    r"^\[(\d+)/(\d+)\] (\w+) (.+): (NLL .+|failed .+) \(\d+ s\), (about .+ left|the planned trials are done)$"
)
RESUME = re.compile(r"interrupted; go on with: \S*python\S* -m orchestrator\.sweep --resume s\n")
SMALL = """
corpus: text.txt
variants:
  vanilla:
  cyclical:
  annealed:
    knobs: {schedule: constant, beta: 1.0e+300}
trials: 2
epochs: 2
baseline_seeds: 2
replicates: 2
max_replicates: 2
search: {kl_floor: 0}
max_concurrent: 2
models: all
final_iw_samples: 20
final_iw_sentences: 5
knobs: {hidden_size: 16, embedding_size: 8, latent_size: 4, batch_size: 8}
"""

HALVING = """
corpus: text.txt
variants: {cyclical: {knobs: {cycles: 1, ramp_share: 0.25}, ranges: {word_keep_rate: [0.0, 1.0]}}}
trials: 8
epochs: 8
baseline_seeds: 1
replicates: 1
max_replicates: 1
max_concurrent: 2
search: {sampler: random, kl_floor: 0, halving: {eta: 2, first: 1, rungs: 2, elbo_share: 1}}
final_iw_samples: 5
final_iw_sentences: 5
knobs: {hidden_size: 16, embedding_size: 8, latent_size: 4, batch_size: 8}
"""


class Sweep:
    """`python -m orchestrator.sweep` in a folder, without a terminal."""

    command: tuple[str, ...] = ("-m", "orchestrator.sweep")

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        left_out = ("RAY_ADDRESS", "MLFLOW_TRACKING_URI")
        inherited = {name: value for name, value in os.environ.items() if name not in left_out}
        mine = {"PYTHONPATH": str(ROOT), "COLUMNS": "100"}
        self.environment = {**inherited, **mine, **(environment or {})}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the command to its end."""
        with self.started(*arguments) as process:
            output, errors = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """The running command, in a process group of its own; killed with the block."""
        process = subprocess.Popen(
            [sys.executable, *self.command, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def interrupted_and_resumed(self, spec: str, trials: int) -> tuple[str, str]:
        """A sweep `s` by this spec on a small corpus, interrupted when so many trials have ended, and gone on
        with; what either printed."""
        write_corpus(self.folder / "text.txt")
        (self.folder / "s.yaml").write_text(spec)
        with self.started("s.yaml", "--name", "s") as process:
            read_until(process, trial_is_done(trials))
            control_c(process)
            output, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130, (output, errors)
        again = self.run("--resume", "s")
        assert again.returncode == 0, again.stderr
        return output, again.stdout

    def trials(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.folder / "sweeps" / name / "trials.csv", keep_default_na=False)


def read_until(process: subprocess.Popen[str], wanted: Callable[[str], bool]) -> list[str]:
    """The lines of standard output up to the wanted one. No byte behind it is read: `communicate` would not
    see what waits in a buffer."""
    assert process.stdout is not None
    lines, line = [], b""
    while byte := os.read(process.stdout.fileno(), 1):
        if byte != b"\n":
            line += byte
            continue
        lines.append(line.decode())
        line = b""
        if wanted(lines[-1]):
            return lines
    raise AssertionError(f"ended too soon: {lines}")


def trial_is_done(number: int) -> Callable[[str], bool]:
    """So many have ended, or more: some may end while another process is being stopped."""

    def done(line: str) -> bool:
        counted = re.match(r"\[(\d+)/", line)
        return counted is not None and int(counted[1]) >= number

    return done


def run_program(program: str, folder: Path) -> list[str]:
    """What it printed, line by line: a program in a Python of its own, which starts a Ray of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment |= {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def control_c(process: subprocess.Popen[str]) -> None:
    """As a terminal does it: every process of the group gets it."""
    os.killpg(process.pid, signal.SIGINT)


def processes_below(parent: int) -> dict[int, str]:
    """Command lines of all descendants, by process id."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended meanwhile
    found: dict[int, str] = {}
    level = {parent}
    while level:
        level = {child for child, of in parents.items() if of in level}
        for child in level:
            try:
                found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
    return found


def processes_in(folder: Path) -> list[int]:
    """Those that work there."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").resolve().is_relative_to(folder):
                found.append(int(entry.name))
    return found


def kill_one_trial(process: subprocess.Popen[str], seconds: float = 60.0) -> None:
    """Kills a process that trains as soon as there is one."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        for pid, command in processes_below(process.pid).items():
            if command.startswith(TRAINS):
                os.kill(pid, signal.SIGKILL)
                return
        time.sleep(0.05)
    raise AssertionError("nothing trains")


def wait_gone(pids: Mapping[int, str], seconds: float = 30.0) -> None:
    """Waits until none of the processes is there any more; Ray's agents take their time, and do no harm."""
    end = time.monotonic() + seconds
    waited = [pid for pid, command in pids.items() if not re.match(r"ray::\w+Agent", command)]
    while left := [pid for pid in waited if not _has_ended(pid)]:
        assert time.monotonic() < end, {pid: pids[pid] for pid in left}
        time.sleep(0.1)


def _has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def write_corpus(path: Path) -> None:
    """60 labelled sentences of 3 to 6 words."""
    nouns, verbs = ("dog", "cat", "man", "bird", "boat"), ("sees", "finds", "likes")
    sentences = [
        f"{verbs[number % 3]}\t{'the ' * (number % 2)}{nouns[number % 5]} {verbs[number % 3]} "
        f"{'a small ' * (number % 4 == 0)}{nouns[(number * 7) % 5]}"
        for number in range(60)
    ]
    path.write_text("\n".join(sentences) + "\n")


def reader(sweep: Sweep, name: str = "s") -> Reader:
    from tests.orchestrator.database import sqlite_uri
    from tests.orchestrator.tracking_fixtures import Reader

    return Reader(sqlite_uri(sweep.folder), name)


def assert_complete(sweep: Sweep, planned: dict[str, int], epochs: int, lost: int = 0) -> pd.DataFrame:
    """Every planned trial once in MLflow and in trials.csv, each with all of its epochs; so many others in
    MLflow that had just begun, when a crash came before Tune had saved that they exist."""
    trials = sweep.trials("s")
    assert Counter(trials["variant"]) == planned
    assert set(trials["failure"]) == {""}
    assert not trials.duplicated(["variant", "kind", "seed", "knobs"]).any()
    mlflow = reader(sweep)
    runs = mlflow.trials()
    others = runs.keys() - set(trials["trial_id"])
    assert len(others) <= lost
    assert {runs.pop(trial_id).info.status for trial_id in others} <= {"KILLED"}
    assert set(runs) == set(trials["trial_id"])
    for run in runs.values():
        assert run.info.status == "FINISHED"
        assert [step for step, _ in mlflow.history(run, "nll")] == list(range(1, epochs + 1))
    assert mlflow.parent().info.status == "FINISHED"
    return trials
