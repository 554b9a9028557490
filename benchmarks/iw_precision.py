"""Whether bfloat16 would pay in the importance-weighted NLL, and what it would do to the figure.

    python -m benchmarks.iw_precision --corpus PATH

trains some epochs, then estimates the IW-NLL from the same draws with encoder and decoder in float32 and in
bfloat16, in turns, on one thread, and writes docs/benchmarks/iw_precision.md. The product evaluates in
float32.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import processor
from trainables.common.metrics import standard_error
from trainables.evaluation.importance_weighting import ImportanceWeighted, importance_weighted_nll
from trainables.model.text_vae import TextVAE
from trainables.parts.precision import BrainFloat
from trainables.text.batches import Batch
from trainables.text.corpora import load_corpus
from trainables.text.splits import Corpus
from trainables.training.loop import Training
from trainables.training.presets import EMBEDDED
from trainables.variants import load_variant

TARGET = Path(__file__).parents[1] / "docs" / "benchmarks" / "iw_precision.md"
SENTENCES, EPOCHS = 100, 3
SIZES = ((128, 256, "lstm"), (512, 1024, "lstm"), (128, 256, "dilated"))


class Short(TextVAE):
    """Encoder and decoder in bfloat16 in the evaluation, too."""

    def _autocast(self, batch: Batch) -> AbstractContextManager[object]:
        return BrainFloat().autocast(batch.tokens_BT.device)


def trained(corpus: Corpus, knobs: Mapping[str, Any], epochs: int) -> Training:
    """With a constant weight of 0.3, at which nothing collapses."""
    variant = load_variant("beta")
    known = {**EMBEDDED.knobs_for(variant), **knobs, "schedule": "constant", "beta": 0.3}
    training = Training(variant.with_knobs(known), corpus, epochs=epochs, seed=0)
    while not training.finished:
        training.run_epoch()
    return training


def row(what: str, training: Training, samples: int, rounds: int) -> str:
    """Milliseconds a sentence in both, their ratio, and the difference sentence by sentence."""
    short = Short(training.variant, len(training.corpus.vocabulary))
    short.load_state_dict(training.model.state_dict())
    seconds: tuple[list[float], list[float]] = ([], [])
    found: list[ImportanceWeighted] = []
    for _ in range(rounds):
        found = []
        for model, taken in zip((training.model, short), seconds, strict=True):
            begin = time.perf_counter()
            found.append(
                importance_weighted_nll(
                    model, training.corpus.test, training.device, samples=samples, sentences=SENTENCES
                )
            )
            taken.append(time.perf_counter() - begin)
    ratio = statistics.median(one / other for one, other in zip(*seconds, strict=True))
    off_N = found[1].iw_nll_N - found[0].iw_nll_N
    ms = [1000 * statistics.median(each) / found[0].sentences for each in seconds]
    return (
        f"| {what} | {samples} | {ms[0]:.0f} | {ms[1]:.0f} | {ratio:.2f} | {found[0].iw_nll:.2f} "
        f"| {off_N.mean():+.4f} ± {standard_error(off_N):.4f} | {np.abs(off_N).max():.3f} |"
    )


def rows(path: str | None, rounds: int) -> Iterator[str]:
    training = trained(load_corpus(None), {}, 25)
    yield row("embedded, 32/64/16, dilated", training, 100, rounds)
    if path is not None:
        corpus = load_corpus(path, max_sentences=3000)
        for embedding, hidden, decoder in SIZES:
            sizes = {"embedding_size": embedding, "hidden_size": hidden, "latent_size": 32}
            training = trained(corpus, {**sizes, "decoder": decoder, "learning_rate": 0.001}, EPOCHS)
            words = len(corpus.vocabulary)
            yield row(f"{words:,} words, {embedding}/{hidden}/32, {decoder}", training, 30, rounds)


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--corpus", help="of real sentences, for the larger models")
    options.add_argument("--rounds", type=int, default=5)
    asked = options.parse_args(arguments)
    torch.set_num_threads(1)
    lines = [
        "# The importance-weighted NLL in bfloat16",
        "",
        f"`python -m benchmarks.iw_precision{' --corpus PATH' if asked.corpus else ''}`, {date.today()}, "
        f"{processor()}, one thread, torch "
        f"{torch.__version__.partition('+')[0]}, {asked.rounds} rounds in turns, {SENTENCES} sentences. "
        "Ratio above 1: bfloat16 is faster. The difference is that of the same draws, nats per sentence, ± "
        "its standard error over sentences.",
        "",
        "| model | samples | fp32, ms a sentence | bf16 | ratio | IW-NLL | bf16 − fp32 | largest |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for each in rows(asked.corpus, asked.rounds):
        print(each, flush=True)
        lines.append(each)
    lines += ["", "Not measured: GPUs, more than one thread, models trained to the end.", ""]
    TARGET.write_text("\n".join(lines), encoding="utf-8")
    print(f"written: {TARGET}")


if __name__ == "__main__":
    main()
