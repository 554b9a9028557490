"""What a sweep costs beside its training: trials that only sleep, beside other ways to run them.

    python -m benchmarks.overhead

runs 60 trials of 5 × 0.2 s, two at a time, in turns through this project's searcher and trials (with its
MLflow tracking, and without), through Ray Tune's OptunaSearch with and without reused actors, and through
plain Optuna in two processes over a journal file. It writes docs/benchmarks/overhead.md.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import optuna
import ray
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from ray import tune
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch
from ray.tune.stopper import NoopStopper
from rich.console import Console

from benchmarks.machine import processor, resident_mib
from benchmarks.sleeper import STEP_S, STEPS, Sleeper
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

TARGET = Path(__file__).parents[1] / "docs" / "benchmarks" / "overhead.md"
TRIALS, AT_ONCE = 60, 2
SPACE = {
    "a": optuna.distributions.FloatDistribution(0.0, 1.0),
    "b": optuna.distributions.FloatDistribution(0.0, 1.0),
}


class Pulse(tune.Callback):
    """The clock and the driver's memory at each trial's end."""

    def __init__(self) -> None:
        self.beats: list[tuple[float, float]] = []

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.beats.append((time.perf_counter(), resident_mib()))


def ours(
    folder: Path, *, tracked: bool, sampler: str = "tpe", trials: int = TRIALS, epochs: int = STEPS
) -> list[tuple[float, float]]:
    """This project's searcher and trials, with a trainable that sleeps."""
    options: dict[str, Any] = {"name": "s", "variants": "cyclical", "sampler": sampler, "replicates": 0}
    options |= {"baseline_seeds": 1, "trials": trials - 1, "epochs": str(epochs)}
    options |= {"max_concurrent": AT_ONCE, "storage": str(folder)}
    spec = prepare_folder(SweepSpec.load(None, options))
    searcher, pulse = SweepSearcher(SearchPlan.of(spec)), Pulse()
    callbacks: list[tune.Callback] = [pulse]
    tracker = None
    if tracked:
        tracker = MlflowTracker(f"sqlite:///{folder}/mlflow.db", "s", spec.folder)
        tracker.start_sweep(params={}, files=[], trials=trials)
        callbacks.append(TrackingCallback(tracker))
    corpus = embedded_corpus(0, (20, 10, 10))
    slots = Slots(spec, print)
    outcomes = Outcomes(spec.checkpoint_folder)
    run_trials(
        spec,
        corpus,
        searcher,
        outcomes,
        NoopStopper(),
        callbacks,
        slots=slots,
        resume=False,
        trainable=Sleeper,
    )
    assert len(pulse.beats) == trials
    if tracker is not None:
        tracker.finish_sweep(status="FINISHED")
        tracker.close(60.0)
    return pulse.beats


def ray_tune(folder: Path, *, reuse: bool) -> None:
    """Ray Tune's OptunaSearch as it comes."""
    search = ConcurrencyLimiter(OptunaSearch(dict(SPACE), metric="loss", mode="min"), max_concurrent=AT_ONCE)
    tuner = tune.Tuner(
        tune.with_resources(Sleeper, {"cpu": 1}),
        tune_config=tune.TuneConfig(search_alg=search, num_samples=TRIALS, reuse_actors=reuse),
        run_config=tune.RunConfig(name="r", storage_path=str(folder), verbose=0),
    )
    assert len(tuner.fit()) == TRIALS


def plain_optuna(folder: Path) -> None:
    """Two processes over a journal file."""
    path = str(folder / "journal")
    optuna.create_study(study_name="s", storage=JournalStorage(JournalFileBackend(path)))
    context = get_context("fork")
    workers = [context.Process(target=_optimise, args=(path,)) for _ in range(AT_ONCE)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _optimise(path: str) -> None:
    study = optuna.load_study(study_name="s", storage=JournalStorage(JournalFileBackend(path)))
    for _ in range(TRIALS // AT_ONCE):
        trial = study.ask(dict(SPACE))
        for _ in range(STEPS):
            time.sleep(STEP_S)
        study.tell(trial, trial.params["a"])


RUNS: Mapping[str, Callable[[Path], object]] = {
    "plain Optuna, two processes, journal": plain_optuna,
    "**this project**, with MLflow": lambda folder: ours(folder, tracked=True),
    "this project, without MLflow": lambda folder: ours(folder, tracked=False),
    "this project, with MLflow, proposals of Gaussian processes": lambda folder: ours(
        folder, tracked=True, sampler="gp"
    ),
    "Ray Tune's OptunaSearch, reused actors": lambda folder: ray_tune(folder, reuse=True),
    "Ray Tune's OptunaSearch, its default actors": lambda folder: ray_tune(folder, reuse=False),
}


def timed(run: Callable[[Path], object]) -> float:
    folder = Path(tempfile.mkdtemp())
    try:
        begin = time.perf_counter()
        run(folder)
        return time.perf_counter() - begin
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--rounds", type=int, default=3)
    asked = options.parse_args(arguments)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ideal = TRIALS * STEPS * STEP_S / AT_ONCE
    seconds: dict[str, list[float]] = {name: [] for name in RUNS}
    with ray_running(Console()):
        logging.getLogger("ray.tune").setLevel(logging.ERROR)
        for number in range(asked.rounds):
            for name, run in RUNS.items():
                seconds[name].append(timed(run))
                print(f"[{number + 1}/{asked.rounds}] {name}: {seconds[name][-1]:.1f} s", flush=True)
    lines = [
        "# What a sweep costs beside its training",
        "",
        f"`python -m benchmarks.overhead`, {date.today()}, {processor()}, {os.cpu_count()} CPUs, Ray "
        f"{ray.__version__}, Optuna {optuna.__version__}. {TRIALS} trials of {STEPS} × {STEP_S} s, "
        f"{AT_ONCE} at a time: at best "
        f"{ideal:.0f} s. Medians of {asked.rounds} runs in turns, beside a Ray that runs already.",
        "",
        "| | seconds | ÷ ideal |",
        "|---|---:|---:|",
        *(
            f"| {name} | {statistics.median(found):.1f} | {statistics.median(found) / ideal:.2f} |"
            for name, found in seconds.items()
        ),
        "",
        "Not measured: clusters of several nodes, an MLflow server, Ray's own start and end (5 to 16 s).",
        "",
    ]
    TARGET.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
