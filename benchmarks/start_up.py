"""From a trial's end to the next trial's first step, and what hundreds of trials leave in memory.

    python -m benchmarks.start_up

trains some hundred small models, two at a time, through this project's searcher and trials, and some of them
through Ray Tune's OptunaSearch with its default actors, which are new for each trial. It writes
docs/benchmarks/start_up.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import optuna
import ray
from ray import tune
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch
from ray.tune.stopper import NoopStopper
from rich.console import Console

from benchmarks.machine import processor, resident_mib
from orchestrator.cluster.ray_session import ray_running
from orchestrator.cluster.slots import Slots
from orchestrator.running.folder import prepare_folder
from orchestrator.search.plan import SearchPlan
from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.tracking.callback import TrackingCallback
from orchestrator.tracking.tracker import MlflowTracker
from orchestrator.trials.outcomes import Outcomes
from orchestrator.trials.tune_trials import run_trials
from trainables.text.grammar import embedded_corpus
from trainables.trainable import TextVAETrainable, TrialSettings

TARGET = Path(__file__).parents[1] / "docs" / "benchmarks" / "start_up.md"
TRIALS, FRESH, EPOCHS, AT_ONCE = 300, 20, 2, 2
CORPUS = (300, 50, 50)
ROWS = 5
NOTES = "START_UP_NOTES"
"""Names the file that the actors write to."""


class Watched(TextVAETrainable):
    """A training that notes when its first step begins and its last one ends, and its process's memory."""

    def step(self) -> dict[str, Any]:
        begin = time.time()
        result = super().step()
        note = {"pid": os.getpid(), "epoch": result["epoch"], "mib": resident_mib()}
        note |= {"begin": begin, "end": time.time()}
        with open(os.environ[NOTES], "a", encoding="utf-8") as file:
            file.write(json.dumps(note) + "\n")
        return result


@dataclass(frozen=True)
class Run:
    """What the notes of a run say.

    Attributes:
        gaps: seconds from a trial's end to the first step of the one that took its place.
        memory: of the process at each trial's end, MiB, by process.
    """

    gaps: Sequence[float]
    memory: Sequence[Sequence[float]]

    @classmethod
    def of(cls, notes: Path) -> Run:
        """A trial takes the place of the first one that has ended and whose place is free."""
        rows = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]
        begins = sorted(row["begin"] for row in rows if row["epoch"] == 1)
        last = [row for row in rows if row["epoch"] == EPOCHS]
        ends = sorted(row["end"] for row in last)
        memory = [
            [row["mib"] for row in last if row["pid"] == pid] for pid in sorted({row["pid"] for row in last})
        ]
        gaps = [begin - end for begin, end in zip(begins[AT_ONCE:], ends, strict=False)]
        return cls(gaps, memory)


def ours(folder: Path, trials: int) -> None:
    """This project's searcher and trials, with MLflow."""
    options: dict[str, Any] = {"name": "s", "variants": "cyclical", "sampler": "tpe", "replicates": 0}
    options |= {"baseline_seeds": 1, "trials": trials - 1, "epochs": str(EPOCHS), "storage": str(folder)}
    options |= {"max_concurrent": AT_ONCE, "iw_samples": 1, "iw_sentences": 1}
    spec = prepare_folder(SweepSpec.load(None, options))
    tracker = MlflowTracker(f"sqlite:///{folder}/mlflow.db", "s", spec.folder)
    tracker.start_sweep(params={}, files=[], trials=trials)
    found = run_trials(
        spec,
        embedded_corpus(0, CORPUS),
        SweepSearcher(SearchPlan.of(spec)),
        Outcomes(spec.checkpoint_folder),
        NoopStopper(),
        [TrackingCallback(tracker)],
        slots=Slots(spec, print),
        resume=False,
        trainable=Watched,
    )
    assert len(found) == trials
    tracker.finish_sweep(status="FINISHED")
    tracker.close(60.0)


def fresh_actors(folder: Path, trials: int) -> None:
    """Ray Tune's OptunaSearch as it comes: a new actor for each trial."""
    space = {"word_keep_rate": optuna.distributions.FloatDistribution(0.5, 1.0)}
    search = ConcurrencyLimiter(OptunaSearch(space, metric="loss", mode="min"), max_concurrent=AT_ONCE)

    class Fresh(Watched):
        def setup(
            self, config: dict[str, Any], settings: TrialSettings | None = None, corpus: Any = None
        ) -> None:
            knobs = {"word_keep_rate": config["word_keep_rate"]}
            settings = TrialSettings(EPOCHS, iw_samples=1, iw_sentences=1)
            super().setup({"variant": "cyclical", "knobs": knobs, "seed": 0}, settings, corpus)

        def step(self) -> dict[str, Any]:
            return super().step() | {"loss": 0.0}

        @property
        def _collapsed(self) -> bool:
            return False

    trainable = tune.with_parameters(Fresh, settings=None, corpus=embedded_corpus(0, CORPUS))
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        tune_config=tune.TuneConfig(search_alg=search, num_samples=trials),
        run_config=tune.RunConfig(name="r", storage_path=str(folder), verbose=0),
    )
    assert len(tuner.fit()) == trials


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--trials", type=int, default=TRIALS)
    options.add_argument("--fresh", type=int, default=FRESH)
    asked = options.parse_args(arguments)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder = Path(tempfile.mkdtemp())
    runs: list[Run] = []
    try:
        for way, trials in ((ours, asked.trials), (fresh_actors, asked.fresh)):
            notes = folder / f"{way.__name__}.jsonl"
            os.environ[NOTES] = str(notes)
            with ray_running(Console()):  # the actors have the environment of its start
                logging.getLogger("ray.tune").setLevel(logging.ERROR)
                way(folder / way.__name__, trials)
            runs.append(Run.of(notes))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    mine, theirs = runs
    lines = [
        "# From one trial to the next",
        "",
        f"`python -m benchmarks.start_up`, {date.today()}, {processor()}, {os.cpu_count()} CPUs, Ray "
        f"{ray.__version__}. Trials of {EPOCHS} epochs on {CORPUS[0]} sentences, {AT_ONCE} at a time, which "
        "keep both cores busy.",
        "",
        "Seconds from a trial's end to the first step of the one that takes its place:",
        "",
        "| | trials | median | 90 % | most |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {name} | {len(run.gaps) + AT_ONCE} | {statistics.median(run.gaps):.2f} | "
            f"{statistics.quantiles(run.gaps, n=10)[-1]:.2f} | {max(run.gaps):.2f} |"
            for name, run in (
                ("**this project**, with MLflow", mine),
                ("Ray Tune's OptunaSearch, its default actors", theirs),
            )
        ),
        "",
        "Memory of this project's actors at the end of a trial, MiB:",
        "",
        "| trials of the actor | " + " | ".join(f"actor {i + 1}" for i in range(len(mine.memory))) + " |",
        "|---|" + "---:|" * len(mine.memory),
        *_memory_rows(mine.memory),
        "",
        "Not measured: GPUs, whose CUDA context an actor keeps; nodes beyond this one; corpora of gigabytes.",
        "",
    ]
    TARGET.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


def _memory_rows(memory: Sequence[Sequence[float]]) -> list[str]:
    """The first, and then some more, as far as each actor has come."""
    most = max(len(each) for each in memory)
    places = sorted({1, *(round(most * part / ROWS) for part in range(1, ROWS + 1))})
    return [
        f"| {place} | " + " | ".join(f"{each[min(place, len(each)) - 1]:.0f}" for each in memory) + " |"
        for place in places
    ]


if __name__ == "__main__":
    main()
