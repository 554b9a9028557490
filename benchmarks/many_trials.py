"""A thousand trials that do nothing: the driver's time a trial, and its memory, as there are more and more.

    python -m benchmarks.many_trials

runs them two at a time with MLflow, once with TPE's proposals and once with random ones, which cost nothing,
and writes docs/benchmarks/many_trials.md.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path

import optuna
import ray
from rich.console import Console

from benchmarks.machine import processor
from benchmarks.overhead import ours
from orchestrator.cluster.ray_session import ray_running

TARGET = Path(__file__).parents[1] / "docs" / "benchmarks" / "many_trials.md"
TRIALS, PARTS = 1000, 5
SAMPLERS = ("tpe", "random")


def beats(sampler: str, trials: int) -> list[tuple[float, float]]:
    """The clock and the driver's memory at each trial's end."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder = Path(tempfile.mkdtemp())
    try:
        with ray_running(Console()):
            logging.getLogger("ray.tune").setLevel(logging.ERROR)
            return ours(folder, tracked=True, sampler=sampler, trials=trials, epochs=1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--trials", type=int, default=TRIALS)
    asked = options.parse_args(arguments)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as the command has it
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        found = {sampler: pool.submit(beats, sampler, asked.trials).result() for sampler in SAMPLERS}
    lines = [
        f"# {asked.trials} trials that do nothing",
        "",
        f"`python -m benchmarks.many_trials`, {date.today()}, {processor()}, {os.cpu_count()} CPUs, Ray "
        f"{ray.__version__}, Optuna {optuna.__version__}. Trials of one variant, two at a time, with MLflow: "
        "the driver's milliseconds a trial, and its memory. TPE looks at all trials for each proposal; what "
        "random proposals leave is the rest: Ray Tune, its snapshots, MLflow. Each in a process of its own.",
        "",
        f"| trials | {' | '.join(f'{sampler}: ms | MiB' for sampler in SAMPLERS)} |",
        f"|---|{'---:|---:|' * len(SAMPLERS)}",
    ]
    step = max(1, asked.trials // PARTS)
    for first in range(0, asked.trials - 1, step):
        parts = [found[sampler][first : first + step + 1] for sampler in SAMPLERS]
        cells = [
            f"{1000 * (part[-1][0] - part[0][0]) / (len(part) - 1):.0f} | {part[-1][1]:.0f}" for part in parts
        ]
        lines.append(f"| {first + 1} to {first + len(parts[0]) - 1} | {' | '.join(cells)} |")
    lines += [
        "",
        "Not measured: clusters, an MLflow server, more variants; [scale](../scale.md) has 10,000.",
        "",
    ]
    TARGET.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
