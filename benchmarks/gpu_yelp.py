"""Trains many configurations of the text VAEs at once on one GPU and compares each with its baseline.

    python benchmarks/gpu_yelp.py throughput --corpus CORPUS --device cuda --out DIR
    python benchmarks/gpu_yelp.py train --corpus CORPUS --device cuda --out DIR

`throughput` measures words per second of concurrent trainings, `train` trains CONFIGURATIONS. Every training
is a process of its own (`python -m trainables.train`), one CPU thread each. Its figures and its log stay in
DIR, and a training found there is not run again: the same command once more continues after an interruption,
with `--jobs 0` it only prints the table. Needs torch and numpy alone; on a CPU, try it with
`--max-sentences 200 --epochs 1`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
MODEL = ("embedding_size=128", "hidden_size=512", "latent_size=32", "dropout=0.5", "learning_rate=0.001")
BASELINE = "language_model"


@dataclass(frozen=True)
class Configuration:
    """A row of the table; `decoder` holds the settings of the decoder, which its baseline shares."""

    name: str
    variant: str
    settings: tuple[str, ...] = ()
    decoder: tuple[str, ...] = ()
    extra: bool = False

    @property
    def baseline(self) -> str:
        """Name of the language model with the same decoder."""
        return " ".join((BASELINE, *(setting.partition("=")[2] for setting in self.decoder)))


def _with_decoder(*decoder: str, extra: bool = False) -> list[Configuration]:
    """The language model, the plain VAE and the annealed one with another decoder."""
    suffix = "".join(" " + setting.partition("=")[2] for setting in decoder)
    return [
        Configuration(BASELINE + suffix, BASELINE, decoder=decoder, extra=extra),
        Configuration("vanilla" + suffix, "vanilla", decoder=decoder, extra=extra),
        Configuration(
            "annealed, delayed" + suffix, "annealed", ("anneal_delay=3", "anneal_rate=0.2"), decoder, extra
        ),
    ]


CONFIGURATIONS = [
    # The longest first, so that the shorter ones fill the gaps behind it.
    Configuration("aggressive", "aggressive", ("aggressive_epochs=1", "kl_start=0.1", "anneal_rate=0.09")),
    *_with_decoder(),
    Configuration("annealed", "annealed", ("anneal_rate=0.2",)),
    Configuration("annealed from 0.1", "annealed", ("kl_start=0.1", "anneal_rate=0.09")),
    Configuration("cyclical", "cyclical", ("cycles=4",)),
    *_with_decoder("decoder=dilated", "dilation=S"),
    *_with_decoder("decoder=dilated", "dilation=M"),
    Configuration(
        "annealed, He et al. initialisation",
        "annealed",
        ("kl_start=0.1", "anneal_rate=0.09", "initialization=uniform", "posterior_bias=false"),
        extra=True,
    ),
    Configuration(
        "annealed, word keep rate 0.5", "annealed", ("anneal_rate=0.2", "word_keep_rate=0.5"), extra=True
    ),
    Configuration(
        "annealed, delayed, free bits 3.2",
        "annealed",
        ("anneal_delay=3", "anneal_rate=0.2", "free_bits=3.2"),
        extra=True,
    ),
    *_with_decoder("decoder=dilated", "dilation=1", extra=True),
]


@dataclass(frozen=True)
class Run:
    """One training: its place in the output folder and its command line."""

    name: str
    path: Path
    arguments: tuple[str, ...]

    def record(self) -> dict[str, Any] | None:
        """What the training wrote, None before it has finished."""
        if not self.path.exists():
            return None
        record: dict[str, Any] = json.loads(self.path.read_text())
        return record

    def start(self) -> subprocess.Popen[bytes]:
        """Its process, output going to a log beside the record."""
        with self.path.with_suffix(".log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "trainables.train", *self.arguments],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            )

    def run(self) -> None:
        """Trains to the end unless that has been done."""
        if self.path.exists():
            return
        start = time.perf_counter()
        status = self.start().wait()
        print(f"{self.path.stem}: status {status}, {time.perf_counter() - start:.0f} s", flush=True)


def main() -> int:
    """Runs the command; returns the exit status."""
    options = _parser().parse_args()
    options.corpus = options.corpus.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    options.out = options.out.resolve()
    print(_machine(options.device), flush=True)
    return int(options.command(options))


def _throughput(options: argparse.Namespace) -> int:
    print("batch  processes  words/s of each, slowest  words/s together, at the slowest's  ms/step of each")
    rows: list[dict[str, Any]] = []
    for batch_size in options.batch_sizes:
        for processes in options.concurrency:
            configuration = Configuration("throughput", options.variant)
            runs = [
                _make_run(configuration, seed, batch_size, options, f"throughput-b{batch_size}-p{processes}")
                for seed in range(processes)
            ]
            started = [run.start() for run in runs]
            for process in started:
                process.wait()
            records = [record for run in runs if (record := run.record())]
            rates = [_training_rate(record) for record in records]
            row = {
                "batch_size": batch_size,
                "processes": processes,
                "finished": len(records),
                "words_per_s": [rate for rate, _ in rates],
                "ms_per_step": [ms for _, ms in rates],
            }
            rows.append(row)
            # Those that start first also run alone for a while: the sum is too good, the second is safe.
            together, slowest = sum(row["words_per_s"]), min(row["words_per_s"] or [math.nan])
            print(
                f"{batch_size:5d}  {processes:9d}  {together / max(1, len(records)):15,.0f}  "
                f"{slowest:7,.0f}  "
                f"{together:16,.0f}  {slowest * len(records):16,.0f}  "
                f"{np.mean(row['ms_per_step'] or [math.nan]):15.2f}",
                flush=True,
            )
            (options.out / "throughput.json").write_text(json.dumps(rows, indent=1))
    return 0 if all(row["finished"] == row["processes"] for row in rows) else 1


def _training_rate(record: dict[str, Any]) -> tuple[float, float]:
    """Words per second and milliseconds per step after the first epoch, which holds the warm-up; the
    evaluation of the validation split after each epoch is counted in."""
    first, last = record["history"][0], record["history"][-1]
    if first is last:
        first = dict.fromkeys(first, 0.0)
    tokens, steps, seconds = (last[key] - first[key] for key in ("tokens", "optimizer_steps", "seconds"))
    return tokens / seconds, 1000 * seconds / steps


def _train(options: argparse.Namespace) -> int:
    chosen = [configuration for configuration in CONFIGURATIONS if options.extra or not configuration.extra]
    if options.only:
        chosen = [configuration for configuration in CONFIGURATIONS if configuration.name in options.only]
    runs = [
        _make_run(configuration, seed, options.batch_size, options)
        for seed in range(options.seeds)
        for configuration in chosen
    ]
    runs.sort(key=lambda run: not run.name.startswith("aggressive"))
    start = time.perf_counter()
    if options.jobs:
        with ThreadPoolExecutor(options.jobs) as pool:
            for run in runs:
                pool.submit(run.run)
    records = {run: record for run in runs if (record := run.record())}
    print(f"{len(records)} of {len(runs)} trainings finished, {time.perf_counter() - start:.0f} s\n")
    grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run, record in records.items():
        grouped[run.name].append(record)
    rows = compare([configuration for configuration in chosen if configuration.name in grouped], grouped)
    (options.out / "table.json").write_text(json.dumps(rows, indent=1))
    print(markdown(rows))
    return 0 if len(records) == len(runs) else 1


def _make_run(
    configuration: Configuration, seed: int, batch_size: int, options: argparse.Namespace, stem: str = ""
) -> Run:
    stem = stem or "".join(c if c.isalnum() or c in ".=" else "-" for c in configuration.name)
    path: Path = options.out / f"{stem}-seed{seed}.json"
    arguments = [f"--variant={configuration.variant}", f"--corpus={options.corpus}", f"--seed={seed}"]
    arguments += [f"--epochs={options.epochs}", f"--device={options.device}", "--threads=1", f"--json={path}"]
    arguments += [f"--iw-samples={options.iw_samples}", f"--iw-sentences={options.iw_sentences}"]
    if options.max_sentences:
        arguments.append(f"--max-sentences={options.max_sentences}")
    settings = (*configuration.decoder, *MODEL, f"batch_size={batch_size}", *configuration.settings)
    return Run(configuration.name, path, (*arguments, *(f"--set={setting}" for setting in settings)))


Rows = list[dict[str, Any]]
Records = Sequence[dict[str, Any]]


def compare(chosen: Sequence[Configuration], grouped: dict[str, list[dict[str, Any]]]) -> Rows:
    """A row a configuration: means over its seeds, and the gain over its baseline in nats per sentence.

    `gain_se` adds in quadrature the standard error over test sentences, which are paired, and that over
    seeds. A single seed borrows the variance pooled over the configurations that have several.
    """
    several = [_totals(records) for records in grouped.values() if len(records) > 1]
    freedom = sum(len(totals) - 1 for totals in several)
    pooled = sum(float(np.var(totals)) * len(totals) for totals in several) / freedom if freedom else 0.0

    def seed_variance(records: Records) -> float:
        totals = _totals(records)
        return (float(np.var(totals, ddof=1)) if len(totals) > 1 else pooled) / len(totals)

    rows: Rows = []
    for configuration in chosen:
        records = grouped[configuration.name]
        baselines = grouped.get(configuration.baseline, [])
        finals = [record["final"] for record in records]
        totals = _totals(records)
        row: dict[str, Any] = {
            "name": configuration.name,
            "settings": list(configuration.settings),
            "seeds": [record["seed"] for record in records],
            "epochs": records[0]["epochs"],
            "seed_sd": float(np.std(totals, ddof=1)) if len(totals) > 1 else math.nan,
        }
        row |= {key: float(np.mean([final[key] for final in finals])) for key in finals[0]}
        costs = [record["cost"] for record in records]
        row |= {key: float(np.mean([cost[key] for cost in costs])) for key in costs[0]}
        if baselines and configuration.name != configuration.baseline:
            losses_N, compared_N = (
                np.mean([record["losses"] for record in side], axis=0) for side in (records, baselines)
            )
            gain_N = compared_N - losses_N
            sentences = float(gain_N.var(ddof=1)) / len(gain_N)
            seeds = seed_variance(records) + seed_variance(baselines)
            row |= {"gain": float(gain_N.mean()), "gain_se": math.sqrt(sentences + seeds)}
            row |= {"gain_se_sentences": math.sqrt(sentences)}
        rows.append(row)
    return rows


def _totals(records: Records) -> list[float]:
    return [record["final"]["test/nll_plus_kl"] for record in records]


def markdown(rows: Rows) -> str:
    """The table of a report."""
    lines = [
        "| configuration | seeds | NLL | KL | NLL + KL (sd of seeds) | gain over its baseline | MI | AU "
        "| IW-NLL | best epoch | words/s | seconds |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        gain = f"{row['gain']:+.2f} ± {row['gain_se']:.2f}" if "gain" in row else "–"
        spread = f" ({row['seed_sd']:.2f})" if math.isfinite(row["seed_sd"]) else ""
        lines.append(
            f"| {row['name']} | {len(row['seeds'])} | {row['test/nll']:.2f} | {row['test/kl']:.2f} "
            f"| {row['test/nll_plus_kl']:.2f}{spread} | {gain} "
            f"| {row['test/mutual_information']:.2f} | {row['test/active_units']:.1f} "
            f"| {row['test/iw_nll']:.2f} | {row['best_epoch']:.1f} "
            f"| {row['tokens'] / row['seconds']:,.0f} | {row['seconds']:.0f} |"
        )
    return "\n".join(lines)


def _machine(device: str) -> str:
    import torch  # after argparse has had its say: importing torch takes seconds

    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else "CPU"
    return f"{name}, {os.cpu_count()} CPU cores, torch {torch.__version__}, numpy {np.__version__}"


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--corpus", type=Path, required=True, help="folder with train, valid and test files")
    shared.add_argument("--out", type=Path, required=True, help="folder for figures and logs")
    shared.add_argument("--device", default="cuda")
    shared.add_argument("--max-sentences", type=int, help="training sentences to keep")
    shared.add_argument("--iw-samples", type=int, default=100)
    shared.add_argument("--iw-sentences", type=int, default=1000)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    train = commands.add_parser("train", parents=[shared], help="train and compare")
    train.set_defaults(command=_train)
    train.add_argument("--epochs", type=int, default=15)
    train.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, … of every configuration")
    train.add_argument("--batch-size", type=int, default=128)
    train.add_argument("--jobs", type=int, default=16, help="trainings at a time, 0 for none")
    train.add_argument("--only", action="append", metavar="NAME", help="this configuration, may be repeated")
    train.add_argument("--extra", action="store_true", help="the further configurations too")
    throughput = commands.add_parser("throughput", parents=[shared], help="words/s of concurrent trainings")
    throughput.set_defaults(command=_throughput)
    throughput.add_argument("--variant", default="vanilla")
    throughput.add_argument("--epochs", type=int, default=2)
    throughput.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 256])
    throughput.add_argument("--concurrency", type=int, nargs="+", default=[1, 2, 4, 8])
    return parser


if __name__ == "__main__":
    sys.exit(main())
