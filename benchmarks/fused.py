"""What training several configurations as one batched model could gain on a core, at most.

    python -m benchmarks.fused [--device cuda]

K fused trainings do the products of one training with K times the batch, in smaller pieces, and K times the
optimiser's work. So K single steps over one step with K times the batch is more than fusing can reach: where
this is small, fused trials need not be built. Both are timed in turns on one thread; the table goes to
docs/benchmarks/fused.md.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import processor
from benchmarks.train_step import Case, corpus, now
from trainables.text.batches import Batch
from trainables.text.vocabulary import SPECIAL_WORDS
from trainables.training.loop import Training

TARGET = Path(__file__).parents[1] / "docs" / "benchmarks" / "fused.md"
FUSED = (2, 4)
LENGTH, STEPS = 26, 5
"""Tokens of a sentence; steps of a side in a round."""
SIZES = ((64, 64, 16, 16, 129), (32, 64, 16, 32, 129), (128, 256, 32, 32, 5452))
CASES = [Case(*sizes, decoder) for sizes in SIZES for decoder in ("lstm", "dilated")]


def batch_of(case: Case, sentences: int) -> Batch:
    """Random sentences of one length."""
    rng = np.random.default_rng(0)
    tokens_BT = torch.from_numpy(rng.integers(len(SPECIAL_WORDS), case.words, (sentences, LENGTH)))
    return Batch(tokens_BT, None, np.arange(sentences))


def seconds_of_a_step(training: Training, batch: Batch) -> float:
    device = str(training.device)
    start = now(device)
    for _ in range(STEPS):
        training.gradients(batch)
        training.step_inference()
        training.step_generator()
    return (now(device) - start) / STEPS


def row(case: Case, device: str, rounds: int) -> str:
    """Milliseconds of a step, and by how much one with K times the batch is cheaper than K of them."""
    training = Training(case.variant(optimizer="adam"), corpus(case.words), epochs=1, seed=0, device=device)
    training.model.train()
    batches = {times: batch_of(case, times * case.batch) for times in (1, *FUSED)}
    found: dict[int, list[float]] = {times: [] for times in batches}
    for _ in range(rounds + 1):
        for times, batch in batches.items():
            found[times].append(seconds_of_a_step(training, batch))
    single = found[1][1:]
    gains = [
        statistics.median(times * one / many for one, many in zip(single, found[times][1:], strict=True))
        for times in FUSED
    ]
    cells = [f"{statistics.median(single) * 1000:.1f}", *(f"{gain:.2f}" for gain in gains)]
    return f"| {case.name} | {case.batch} | {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--device", default="cpu")
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--to", type=Path, default=TARGET)
    asked = options.parse_args(arguments)
    torch.set_num_threads(1)
    on_gpu = asked.device.startswith("cuda")
    machine = torch.cuda.get_device_name() if on_gpu else f"{processor()}, one thread"
    lines = [
        "# Fused trainings: the most that they could gain",
        "",
        f"`python -m benchmarks.fused`, {date.today()}, {machine}, torch "
        f"{torch.__version__.partition('+')[0]}, {asked.rounds} rounds of {STEPS} steps in turns, sentences "
        f"of {LENGTH} tokens, Adam.",
        "",
        "Milliseconds of a training step, and how many times cheaper one step with 2 or 4 times the batch is "
        "than 2 or 4 such steps. Fused trainings have the same products in smaller pieces, and more weights, "
        "so they gain less than that.",
        "",
        "| sizes, decoder | batch | ms a step | 2 together | 4 together |",
        "|---|---:|---:|---:|---:|",
    ]
    print("\n".join(lines), flush=True)
    for case in CASES:
        lines.append(row(case, asked.device, asked.rounds))
        print(lines[-1], flush=True)
    gpus = "GPUs, where a small step waits for the launching of its kernels"
    lines += ["", f"Not measured: {'CPUs' if on_gpu else gpus}.", ""]
    asked.to.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
