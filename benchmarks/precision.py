"""What training in bfloat16 does to the figures: the same trainings in fp32 and in bf16, over seeds.

    python -m benchmarks.precision [--epochs 12] [--seeds 3]

On the embedded corpus, with the default sweep's knobs; the table goes to docs/benchmarks/precision.md.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import processor
from trainables.common.metrics import SplitMetrics
from trainables.text.corpora import load_corpus
from trainables.training.loop import Training
from trainables.variants import load_variant

TARGET = Path(__file__).parents[1] / "docs" / "benchmarks" / "precision.md"
CASES: dict[str, dict[str, Any]] = {
    "language_model": {},
    "annealed": {"anneal_delay": 4.0, "anneal_rate": 0.2, "kl_start": 0.03},
    "dilated": {"dilation": "S", "word_keep_rate": 1.0},
}
FIGURES = ("nll", "kl", "nll_plus_kl")


def trained(name: str, precision: str, seed: int, epochs: int) -> SplitMetrics:
    """Figures on test of the best epoch."""
    torch.set_num_threads(1)
    variant = load_variant(name).with_knobs({**CASES[name], "precision": precision})
    training = Training(variant, load_corpus(None), epochs=epochs, seed=seed)
    while not training.finished:
        training.run_epoch()
    return training.final_metrics(iw_samples=1, iw_sentences=1).test


def mean_and_error(values: Sequence[float]) -> str:
    error = statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.fmean(values):+.3f} ± {error:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    work = list(product(CASES, ("fp32", "bf16"), range(options.seeds)))
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        begun = {key: pool.submit(trained, *key, options.epochs) for key in work}
        found = {}
        for number, (key, future) in enumerate(begun.items(), 1):
            found[key] = future.result()
            print(
                f"[{number}/{len(work)}] {' '.join(map(str, key))}: {found[key].nll_plus_kl:.3f}", flush=True
            )
    lines = [
        "# Training in bfloat16: what it does to the figures",
        "",
        f"`python -m benchmarks.precision --epochs {options.epochs} --seeds {options.seeds}`, "
        f"{date.today()}, {processor()}, torch {torch.__version__.partition('+')[0]}; the embedded corpus, "
        "64/64/16, figures of the best epoch on test, nats per sentence. Differences are bf16 − fp32, of the "
        f"same seeds, with the standard error over {options.seeds} seeds.",
        "",
        "| variant | fp32: NLL, KL, NLL + KL | bf16: NLL, KL, NLL + KL | Δ NLL | Δ KL | Δ NLL + KL |",
        "|---|---|---|---:|---:|---:|",
    ]
    for name in CASES:
        sides = [
            [
                [getattr(found[name, precision, seed], figure) for seed in range(options.seeds)]
                for figure in FIGURES
            ]
            for precision in ("fp32", "bf16")
        ]
        means = [", ".join(f"{statistics.fmean(values):.3f}" for values in side) for side in sides]
        changes = [
            mean_and_error([b - a for a, b in zip(*pair, strict=True)]) for pair in zip(*sides, strict=True)
        ]
        lines.append(f"| {' | '.join((name, *means, *changes))} |")
    lines += ["", "Not measured: larger models, other corpora, training to convergence, GPUs.", ""]
    TARGET.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
