"""How far one driver carries: the real driver with thousands of simulated trials.

    python -m benchmarks.scale

runs 10,000 trials of 10 epochs on 200 simulated GPUs: Ray Tune's controller, this project's searcher, its
tracking in MLflow, its progress and its caps are the real ones, and so are files and database; the trainings
are simulated, on a clock of their own, so that the wall time is the driver's alone. It writes docs/scale.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import io
import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import ray
import torch
from ray import tune
from ray.tune.execution import tune_controller
from ray.tune.stopper import NoopStopper
from rich.console import Console

from benchmarks.machine import processor, resident_mib
from benchmarks.simulated_actors import SimulatedActors
from orchestrator.budget.keeper import BudgetKeeper
from orchestrator.budget.time_left import TimeLeft
from orchestrator.cluster.ray_session import ray_running
from orchestrator.running.folder import prepare_folder
from orchestrator.running.progress import ProgressCallback, SweepProgress
from orchestrator.search.plan import SearchPlan
from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.tracking.callback import TrackingCallback
from orchestrator.tracking.tracker import MlflowTracker
from orchestrator.trials import tune_trials
from orchestrator.trials.outcomes import Outcomes
from trainables.text.grammar import embedded_corpus
from trainables.training.loop import Training
from trainables.training.records import EpochMetrics, FinalMetrics
from trainables.variants import load_variant

TARGET = Path(__file__).parents[1] / "docs" / "scale.md"
TRIALS, EPOCHS, GPUS = 10_000, 10, 200
EPOCH_S = 60.0
"""Simulated; what an epoch takes decides how many results a second a cluster makes."""
READING = "\n## What breaks first"
TEST_SENTENCES, VOCABULARY = 1000, 10_000
PARTS = 10
VARIANTS = "vanilla,annealed,dilated,cyclical,beta,free_bits,kl_target,skip,batch_norm,gumbel"


class Simulated(tune.Trainable):
    """Reports what a real training reports, made up: NLL and KL that follow the knobs, and noise."""

    epoch_like: EpochMetrics
    final_like: FinalMetrics

    def setup(self, config: dict[str, Any], settings: Any = None, corpus: Any = None) -> None:
        self.epochs = settings.epochs
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        self.epoch, self.history = 0, []
        self.rng = np.random.default_rng(config["seed"])
        numbers = [float(value) for value in config["knobs"].values() if isinstance(value, int | float)]
        self.at = math.sin(sum(numbers)) + self.rng.normal(0.0, 0.1)

    def step(self) -> dict[str, Any]:
        self.epoch += 1
        nll, kl = 15.0 + self.at + 3.0 / self.epoch, max(0.0, 1.5 - self.at)
        metrics = self.epoch_like.named() | {"nll": nll, "kl": kl, "nll_plus_kl": nll + kl}
        metrics |= {"optimizer_steps": 44 * self.epoch, "seconds": EPOCH_S * self.epoch, "gpu_seconds": 0.0}
        self.history.append(metrics | {"epoch": self.epoch})
        result: dict[str, Any] = {"epoch": self.epoch, "metrics": metrics}
        if self.epoch == self.epochs:
            final = self.final_like.named()
            final |= {f"{split}/{name}": metrics[name] for split in ("best", "test") for name in _OBJECTIVES}
            losses_N = self.rng.normal(nll + kl, 3.0, TEST_SENTENCES).astype(np.float32)
            result |= {"final": final, "losses_N": losses_N, "history": self.history, "done": True}
        return result

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        Path(checkpoint_dir, "training.pt").write_text(str(self.epoch))

    def load_checkpoint(self, checkpoint: Any) -> None:
        self.epoch = int(Path(checkpoint, "training.pt").read_text())


_OBJECTIVES = ("nll", "kl", "nll_plus_kl")


def seconds_of(trainable: Any, method: str) -> float:
    """Real trainings are of different lengths, as their models are."""
    return EPOCH_S * (1.0 + 0.5 * math.tanh(trainable.at)) if method == "train" else 0.0


@dataclass
class Meter:
    """Where the driver's seconds go, and how they and its memory grow with the trials that have ended."""

    spent: dict[str, float] = field(default_factory=dict)
    beats: list[dict[str, float]] = field(default_factory=list)
    begin: float = field(default_factory=time.perf_counter)

    def around(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        self.spent[what] = 0.0

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.spent[what] += time.perf_counter() - begin

        return timed

    def callback(self, what: str, callback: tune.Callback) -> tune.Callback:
        """The callback with the time of all that it does taken."""
        for name in (name for name in dir(callback) if name.startswith("on_")):
            timed = self.around(f"{what}.{name}", getattr(callback, name))
            setattr(callback, name, timed)
        return callback

    def of(self, what: str) -> float:
        return sum(seconds for name, seconds in self.spent.items() if name.partition(".")[0] == what)

    def beat(self, names: Sequence[str]) -> None:
        driver = time.perf_counter() - self.begin - SimulatedActors.outside
        self.beats.append({"driver": driver, "MiB": resident_mib()} | {name: self.of(name) for name in names})


class Pulse(tune.Callback):
    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._meter.beat(LABELS)


LABELS = ("searcher", "MLflow", "progress", "outcomes", "caps", "Tune's snapshots")


def simulate(folder: Path, trials: int, gpus: int) -> tuple[Meter, dict[str, float]]:
    """The sweep; what was measured, and some totals."""
    corpus = embedded_corpus(0, (20, 10, 10))
    training = Training(load_variant("vanilla"), corpus, epochs=1, seed=0)
    Simulated.epoch_like = training.run_epoch()
    Simulated.final_like = training.final_metrics(iw_samples=2, iw_sentences=2)
    variants = VARIANTS.split(",")
    each = (trials - 10) // len(variants)
    options: dict[str, Any] = {"name": "s", "variants": VARIANTS, "replicates": 0, "baseline_seeds": 1}
    options |= {"trials": each, "epochs": str(EPOCHS), "max_concurrent": gpus, "storage": str(folder)}
    options |= {"sampler": "tpe"}
    spec = prepare_folder(SweepSpec.load(None, options))
    plan = SearchPlan.of(spec)
    searcher, meter = SweepSearcher(plan), Meter()
    tracker = MlflowTracker(f"sqlite:///{folder}/mlflow.db", "s", spec.folder)
    planned = sum(plan.planned().values())
    tracker.start_sweep(params={}, files=[], trials=planned)
    left = TimeLeft(EPOCHS, EPOCHS, plan.planned(), plan.typical(), gpus)
    console = Console(file=io.StringIO())
    outcomes = Outcomes(spec.checkpoint_folder)
    progress = ProgressCallback(SweepProgress("s", left), console)
    for name in ("suggest", "on_trial_result", "on_trial_complete"):
        setattr(searcher, name, meter.around(f"searcher.{name}", getattr(searcher, name)))
    meter.callback("outcomes", outcomes)
    callbacks = [
        meter.callback("progress", progress),
        meter.callback("MLflow", TrackingCallback(tracker)),
        meter.callback("caps", BudgetKeeper(spec, searcher, print)),
        Pulse(meter),
    ]
    controller = tune_controller.TuneController
    original = tune_controller.RayActorManager, controller.checkpoint
    tune_controller.RayActorManager = SimulatedActors
    controller.checkpoint = meter.around("Tune's snapshots.all", controller.checkpoint)
    SimulatedActors.slots, SimulatedActors.seconds_of = gpus, staticmethod(seconds_of)
    try:
        meter.begin = time.perf_counter()
        with progress:
            found = tune_trials.run_trials(
                *(spec, corpus, searcher, outcomes, NoopStopper(), callbacks),
                slots=_Slots(gpus),  # type: ignore[arg-type]
                resume=False,
                trainable=Simulated,
            )
        driver = time.perf_counter() - meter.begin - SimulatedActors.outside
    finally:
        tune_controller.RayActorManager, controller.checkpoint = original
    waiting, begin = tracker.waiting(), time.perf_counter()
    tracker.finish_sweep(status="FINISHED")
    delivery = tracker.close(3600.0)
    assert delivery.complete
    sizes = {path.name: path.stat().st_size / 2**20 for path in folder.glob("**/experiment_state*.json")}
    return meter, {
        "trials": len(found),
        "driver": driver,
        "simulated": SimulatedActors.now,
        "busy": SimulatedActors.busy / (gpus * SimulatedActors.now),
        "points": waiting.points,
        "delivery": time.perf_counter() - begin,
        "database": (folder / "mlflow.db").stat().st_size / 2**20,
        "snapshot": max(sizes.values()),
    }


@dataclass(frozen=True)
class _Slots:
    asked: int


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--trials", type=int, default=TRIALS)
    options.add_argument("--gpus", type=int, default=GPUS)
    asked = options.parse_args(arguments)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder = Path(tempfile.mkdtemp())
    try:
        with ray_running(Console()):
            logging.getLogger("ray.tune").setLevel(logging.ERROR)
            meter, totals = simulate(folder, asked.trials, asked.gpus)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _, below, reading = (TARGET.read_text(encoding="utf-8") if TARGET.is_file() else "").partition(READING)
    text = "\n".join(page(meter, totals, asked.gpus, checkpoint_sizes()))
    TARGET.write_text(f"{text}{below}{reading}", encoding="utf-8")
    print(f"wrote {TARGET}")


def checkpoint_sizes() -> dict[str, float]:
    """MiB of a trial's checkpoint, by model size."""
    sizes: dict[str, dict[str, int]] = {
        "64/64/16": {},
        "128/256/32": {"embedding_size": 128, "hidden_size": 256, "latent_size": 32},
    }
    sizes["512/1024/32"] = {"embedding_size": 512, "hidden_size": 1024, "latent_size": 32}
    small = embedded_corpus(0, (20, 10, 10))
    more = tuple(f"word{number}" for number in range(VOCABULARY - len(small.vocabulary)))
    words = dataclasses.replace(small.vocabulary, words=(*small.vocabulary.words, *more))
    large = dataclasses.replace(small, vocabulary=words)
    found = {}
    for name, knobs in sizes.items():
        variant = load_variant("vanilla").with_knobs(knobs)
        training = Training(variant, large if knobs else small, epochs=1, seed=0)
        training.run_epoch()
        file = io.BytesIO()
        torch.save(training.state(), file)
        found[name] = len(file.getvalue()) / 2**20
    return found


def page(meter: Meter, totals: dict[str, float], gpus: int, sizes: dict[str, float]) -> list[str]:
    """docs/scale.md, up to what it says to people, which a new measurement leaves there."""
    names = ("driver", *LABELS)
    step = max(2, len(meter.beats) // PARTS)
    rows = []
    for first in range(0, len(meter.beats) - step + 1, step):
        a, b = meter.beats[first], meter.beats[first + step - 1]
        each = " | ".join(f"{1000 * (b[name] - a[name]) / (step - 1):.1f}" for name in names)
        rows.append(f"| {first + 1:,} to {first + step:,} | {each} | {b['MiB']:,.0f} |")
    per_trial = totals["driver"] / totals["trials"]
    whole = EPOCHS * EPOCH_S
    saves = tune_trials.CHECKPOINTS_A_TRIAL
    clusters = [
        f"| {many:,} | {many / whole:.2f} | {per_trial * many / whole:.1%} | "
        f"{many / EPOCH_S * len(Simulated.epoch_like.named()):,.0f} | "
        + " | ".join(f"{many / whole * saves * size:,.1f}" for size in sizes.values())
        + " |"
        for many in (10, 100, 1000)
    ]
    return [
        "# How far one driver carries",
        "",
        f"`python -m benchmarks.scale`, {date.today()}, {processor()}, {os.cpu_count()} CPUs, Ray "
        f"{ray.__version__}, Optuna {optuna.__version__}. {totals['trials']:,} trials of {EPOCHS} epochs on "
        f"{gpus} simulated GPUs, in one run. Ray Tune's controller, searcher, MLflow (SQLite), progress, "
        "caps and files are real; the trainings are simulated on a clock of their own, so that the wall time "
        f"is the driver's: {totals['driver']:,.0f} s for {totals['simulated'] / 3600:.1f} simulated hours, "
        f"in which the GPUs were at work {totals['busy']:.0%} of the time.",
        "",
        "## The driver, milliseconds a trial",
        "",
        "| trials | all | " + " | ".join(LABELS) + " | MiB |",
        "|---|" + "---:|" * (len(names) + 1),
        *rows,
        "",
        "*all* less the columns is Ray Tune's controller. Optuna's share grows with the trials of a variant, "
        "of which there are ten here.",
        "",
        f"When the last trial had ended, MLflow was {totals['points']:,} points behind, and had all of them "
        f"{totals['delivery']:.1f} s later; its database has {totals['database']:,.0f} MiB, the largest of "
        f"Tune's snapshots {totals['snapshot']:,.0f} MiB.",
        "",
        f"## Clusters, with one trial a GPU and epochs of {EPOCH_S:.0f} s",
        "",
        "Trials a second, what they take of the driver, points a second for MLflow, and MiB a second of "
        f"checkpoints ({saves} a trial) by model size (embedding/hidden/latent; "
        + ", ".join(f"{name}: {size:.1f} MiB each" for name, size in sizes.items())
        + f"; vocabulary {VOCABULARY:,}, the first the embedded corpus's).",
        "",
        "| GPUs | trials a second | driver | MLflow | " + " | ".join(sizes) + " |",
        "|---:|---:|---:|---:|" + "---:|" * len(sizes),
        *clusters,
        "",
        "The rows are this run's milliseconds times the rate of such a cluster, not runs of their own.",
        "",
    ]


if __name__ == "__main__":
    main()
