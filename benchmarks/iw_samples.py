"""How many samples of z the importance-weighted NLL takes, and whether it knows.

    python -m benchmarks.iw_samples

trains two of the default sweep's models to their end and draws 2,000 samples for each of 200 test sentences:
the estimate with the first few of them, what the spread of the weights says its error is, and how far it is
from the one with all. The table goes to docs/benchmarks/iw_samples.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.machine import processor
from trainables.common.metrics import standard_error
from trainables.evaluation.evaluate import EVALUATION_BATCH, EVALUATION_SEED
from trainables.evaluation.importance_weighting import Weights, sampling_error
from trainables.text.batches import evaluation_batches
from trainables.text.corpora import load_corpus
from trainables.training.loop import Training
from trainables.training.presets import EMBEDDED
from trainables.variants import load_variant

TARGET = Path(__file__).parents[1] / "docs" / "benchmarks" / "iw_samples.md"
COUNTS = (25, 50, 100, 200, 500, 1000, 2000)
SENTENCES, PLANNED, MOST, SEED = 200, 20, 100, 10
MODELS: Mapping[str, Mapping[str, Any]] = {
    "annealed": {"anneal_rate": 0.1, "anneal_delay": 4, "kl_start": 0.03},
    "aggressive": {"anneal_rate": 0.1, "aggressive_epochs": 1},
}
Estimate = tuple[NDArray[np.float64], NDArray[np.float64]]
"""IW-NLL of each sentence, and the relative variance of its mean weight."""


def trained(variant: str) -> Training:
    """As the default sweep trains it, at its best epoch."""
    known = load_variant(variant)
    knobs = {**EMBEDDED.knobs_for(known), **MODELS[variant]}
    training = Training(
        known.with_knobs(knobs), load_corpus(None), epochs=PLANNED, max_epochs=MOST, seed=SEED
    )
    while not training.finished:
        training.run_epoch()
    training.model.load_state_dict(training.best_weights)
    return training


@torch.no_grad()
def estimates(training: Training, counts: Sequence[int]) -> Iterator[Estimate]:
    """With the first so many samples of all, for each count."""
    training.model.eval()
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    split = training.corpus.test.take(np.arange(min(SENTENCES, len(training.corpus.test))))
    batches = [Weights(training.model, batch) for batch in evaluation_batches(split, EVALUATION_BATCH)]
    taken = 0
    for count in counts:
        for weights in batches:
            weights.draw(count - taken, generator)
        taken = count
        yield (
            np.concatenate([weights.iw_nll_B for weights in batches]),
            np.concatenate([weights.variance_B for weights in batches]),
        )


def rows(variant: str) -> Iterator[str]:
    training = trained(variant)
    begin = time.process_time()
    found = list(estimates(training, COUNTS))
    seconds = time.process_time() - begin
    last = found[-1][0]
    for count, (iw_nll_N, variance_N) in zip(COUNTS, found, strict=True):
        bias, noise = sampling_error(variance_N)
        off = iw_nll_N.mean() - last.mean()
        yield (
            f"| {variant} | {count:,} | {iw_nll_N.mean():.3f} | {bias:.3f} | {noise:.3f} "
            f"| {f'{off:+.3f}' if count < COUNTS[-1] else '–'} "
            f"| {standard_error(iw_nll_N):.2f} | {seconds * count / COUNTS[-1]:.1f} |"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args(arguments)
    torch.set_num_threads(1)
    lines = [
        "# How many samples the IW-NLL takes",
        "",
        f"`python -m benchmarks.iw_samples`, {date.today()}, {processor()}, one thread, torch "
        f"{torch.__version__.partition('+')[0]}. Two models of the default sweep, trained to their end (seed "
        f"{SEED}), on {SENTENCES} test sentences: the estimate with the first S of {COUNTS[-1]:,} samples of "
        "z; what the spread of the importance weights says its error is, half the mean relative variance of "
        "the mean weight as bias, its root over the sentences as noise; how far it is from that with all; "
        "its standard error over the sentences. All in nats per sentence. Seconds of one core, in proportion "
        "to S.",
        "",
        "| model | S | IW-NLL | said: bias | noise | off by | ± sentences | s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for variant in MODELS:
        for line in rows(variant):
            print(line, flush=True)
            lines.append(line)
    lines += [
        "",
        "`final_iw_tolerance: 0.1` stops where bias and noise together are a tenth of the error over the "
        "sentences. What is said is not all: tails that no sample has met are not in it.",
        "",
        "Not measured: GPUs, real text, larger latent variables.",
        "",
    ]
    TARGET.write_text("\n".join(lines), encoding="utf-8")
    print(f"written: {TARGET}")


if __name__ == "__main__":
    main()
