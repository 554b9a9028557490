"""A training step of the product beside the same step plainly written, on one CPU thread or on a GPU.

    python -m benchmarks.train_step [--rounds 7] [--device cuda]

Beside it stand the same model with torch's own cross-entropy, clipping and optimiser as their defaults are
(what the published code does), and the training of He et al. 2019 as the tests spell it out (`published.py`).
All begin with the same weights and see the same batches, in turns; the first ten steps of the exact path are
compared with the plain one. The table goes to docs/benchmarks/train_step.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.machine import processor
from tests.trainables.published import Published
from trainables.common.cpu import prepare_cpu
from trainables.model.variant import Variant
from trainables.parts.products import Linear, product
from trainables.text.batches import Batch, training_batches
from trainables.text.splits import Corpus, Split
from trainables.text.vocabulary import SPECIAL_WORDS, Vocabulary
from trainables.training.loop import Training
from trainables.variants import load_variant

TARGET = Path(__file__).parents[1] / "docs" / "benchmarks" / "train_step.md"
COMPARED = 10
LENGTHS = (6, 12, 18, 24, 30, 36)
"""Words of a sentence. Few, so that all shapes have been seen before the clock starts."""


@dataclass(frozen=True)
class Case:
    """Sizes, vocabulary and batch of a row."""

    embedding: int
    hidden: int
    latent: int
    batch: int
    words: int
    decoder: str

    @property
    def name(self) -> str:
        return f"{self.embedding}/{self.hidden}/{self.latent}, {self.decoder}"

    def variant(self, **own: Any) -> Variant:
        knobs = {
            "embedding_size": self.embedding,
            "hidden_size": self.hidden,
            "latent_size": self.latent,
            "batch_size": self.batch,
            "batch_weighting": "equal",
            "decoder": self.decoder,
            "optimizer": "sgd",
            "posterior_bias": False,
            "initialization": "uniform",
        }
        return load_variant("vanilla").with_knobs(knobs | own)


CASES = [
    Case(*sizes, decoder)
    for sizes in ((128, 256, 32, 32, 5452), (512, 1024, 32, 32, 5452), (64, 64, 16, 16, 129))
    for decoder in ("lstm", "dilated")
]


def corpus(words: int) -> Corpus:
    """Sentences of words that are as frequent as Zipf's law has them."""
    rng = np.random.default_rng(0)
    vocabulary = Vocabulary((*SPECIAL_WORDS, *(f"w{number}" for number in range(words - len(SPECIAL_WORDS)))))
    frequency = 1.0 / np.arange(1, words - len(SPECIAL_WORDS) + 1)
    frequency /= frequency.sum()

    def split(sentences: int) -> Split:
        lengths = rng.choice(LENGTHS, sentences)
        ids = [len(SPECIAL_WORDS) + rng.choice(frequency.size, length, p=frequency) for length in lengths]
        return Split.from_ids([sentence.tolist() for sentence in ids], None)

    return Corpus("zipf", "zipf", vocabulary, split(4000), split(20), split(20))


def ours(training: Training, batches: Sequence[Batch], *, inner: bool, alone: bool = False) -> None:
    for batch in batches:
        training.gradients(batch, inference_alone=alone)
        training.step_inference()
        if not inner:
            training.step_generator()


def take_torchs(model: nn.Module) -> None:
    """Its linear layers become torch's."""
    for module in model.modules():
        if isinstance(module, Linear):
            module.__class__ = nn.Linear


class Plain:
    """The same model, with torch's own parts and their defaults around it."""

    def __init__(self, training: Training) -> None:
        self.model = training.model
        take_torchs(self.model)
        rate = training.variant.optimizer.learning_rate
        self.inference = torch.optim.SGD(self.model.inference_parameters(), lr=rate)
        self.generator = torch.optim.SGD(self.model.generator_parameters(), lr=rate)
        self.clip = training.variant.clip_norm

    def run(self, batches: Sequence[Batch], *, inner: bool) -> None:
        for batch in batches:
            posterior = self.model.posterior(batch)
            z_BZ = posterior.sample().z_BZ
            logits_BTV = self.model.decode(batch.tokens_BT[:, :-1], z_BZ)
            targets_BT = batch.tokens_BT[:, 1:]
            losses = functional.cross_entropy(
                logits_BTV.flatten(0, 1), targets_BT.flatten(), reduction="none"
            )
            objective = (losses.view_as(targets_BT).sum(1) + posterior.kl().sum(1)).mean()
            self.model.zero_grad()
            objective.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.inference.step()
            if not inner:
                self.generator.step()


def written_out(training: Training) -> Callable[[Sequence[Batch], bool], None]:
    """The tests' reference."""
    decoder = training.variant.decoder
    published = Published(
        {name: value.clone() for name, value in training.model.state_dict().items()},
        dropout=0.0,
        dilations=getattr(decoder, "dilations", ()),
        rate=training.variant.optimizer.learning_rate,
        clip=training.variant.clip_norm,
    )

    def run(batches: Sequence[Batch], inner: bool) -> None:
        for batch in batches:
            gradients, _ = published.gradients(batch.tokens_BT, 1.0)
            published.step(gradients, decoder=False)
            if not inner:
                published.step(gradients, decoder=True)

    return run


def begun(case: Case, text: Corpus, device: str, **own: Any) -> Training:
    training = Training(case.variant(**own), text, epochs=1, seed=1, device=device)
    training.model.train()
    return training


def largest_difference(case: Case, text: Corpus, batches: Sequence[Batch], device: str) -> float:
    """Between the weights of the exact path and the plain one after `COMPARED` joint steps, in float64, where
    rounding does not hide anything else."""
    torch.set_default_dtype(torch.float64)
    exact, plain = begun(case, text, device), begun(case, text, device)
    torch.manual_seed(2)
    ours(exact, batches[:COMPARED], inner=False)
    torch.manual_seed(2)
    Plain(plain).run(batches[:COMPARED], inner=False)
    torch.set_default_dtype(torch.float32)
    pairs = zip(exact.parameters, plain.parameters, strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


def gigaflops(training: Training, batches: Sequence[Batch]) -> float:
    """Of a step's matrix products: each weight once a word forward and twice backward."""
    model, total = training.model, 0.0
    for batch in batches:
        sentences, length = batch.tokens_BT.shape
        for module, positions in ((model.encoder, length), (model.latent, 1), (model.decoder, length - 1)):
            weights = sum(
                weight.numel()
                for name, weight in module.named_parameters()
                if weight.dim() == 2 and not name.startswith(("embedding", "start"))
            )
            total += 6 * weights * sentences * positions
    return total / len(batches) / 1e9


def multiplication_limit(device: str) -> float:
    """GFLOP/s of a large product in float32, at its best."""
    a, seconds = torch.randn(2048, 2048, device=device), []
    for _ in range(20):
        start = now(device)
        product(a, a)
        seconds.append(now(device) - start)
    return 2 * 2048**3 / min(seconds) / 1e9


def now(device: str) -> float:
    """The clock, once the device has done all it was told."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter()


def measure(case: Case, text: Corpus, rounds: int, device: str, *, inner: bool) -> dict[str, list[float]]:
    """Milliseconds a step of each side, by round: a batch of each length. The first round warms up."""
    rest = list(training_batches(text.train, case.batch, np.random.default_rng(3)))
    by_length = [[batch for batch in rest if batch.tokens_BT.shape[1] == words + 2] for words in LENGTHS]
    exact, half = begun(case, text, device), begun(case, text, device, precision="bf16")
    plain, reference = Plain(begun(case, text, device)), written_out(begun(case, text, device))
    sides: dict[str, Callable[[Sequence[Batch]], None]] = {
        "reference": lambda some: reference(some, inner),
        "plain": lambda some: plain.run(some, inner=inner),
        "fp32": lambda some: ours(exact, some, inner=inner),
        "bf16": lambda some: ours(half, some, inner=inner),
    }
    if inner:
        own = begun(case, text, device)
        sides["alone"] = lambda some: ours(own, some, inner=True, alone=True)
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        some = [batches[number].to(torch.device(device)) for batches in by_length]
        for name, run in sides.items():
            start = now(device)
            with torch.device(device):  # the reference names none
                run(some)
            found[name].append((now(device) - start) / len(some) * 1000)
    return {name: values[1:] for name, values in found.items()}


def row(case: Case, rounds: int, limit: float, device: str, *, inner: bool) -> str:
    text = corpus(case.words)
    found = measure(case, text, rounds, device, inner=inner)
    milliseconds = {name: statistics.median(values) for name, values in found.items()}

    def ratio(side: str, beside: str) -> str:
        pairs = zip(found[beside], found[side], strict=True)
        return f"{statistics.median(theirs / ours for theirs, ours in pairs):.2f}"

    batches = list(training_batches(text.train, case.batch, np.random.default_rng(3)))
    here = [batch.to(torch.device(device)) for batch in batches[:COMPARED]]
    cells = [
        case.name,
        str(case.batch),
        "inner" if inner else "joint",
        *(f"{milliseconds[name]:.1f}" for name in ("reference", "plain", "fp32", "bf16")),
        ratio("fp32", "reference"),
        ratio("fp32", "plain"),
        ratio("bf16", "reference"),
        ratio("bf16", "plain"),
        ratio("alone", "fp32") if inner else "–",
        f"{gigaflops(begun(case, text, device), batches) / milliseconds['fp32'] * 1000 / limit:.0%}",
        f"{largest_difference(case, text, here, device):.0e}",
    ]
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--to", type=Path, default=TARGET)
    asked = parser.parse_args(arguments)
    rounds, device, on_gpu = asked.rounds, asked.device, asked.device.startswith("cuda")
    prepare_cpu(1)
    limit = multiplication_limit(device)
    place = torch.cuda.get_device_name(device) if on_gpu else f"{processor()}, one CPU thread"
    lines = [
        "# A training step beside the plainly written one",
        "",
        f"`python -m benchmarks.train_step --rounds {rounds}`, {date.today()}, {place}, torch "
        f"{torch.__version__.partition('+')[0]}, {rounds} rounds of {len(LENGTHS)} steps in "
        f"turns; SGD, sentences of {LENGTHS[0]} to {LENGTHS[-1]} words, vocabulary 5,452 "
        "(129 at 64/64/16). Median milliseconds a step, and medians of the ratios round by round: above 1 "
        "the product is faster. "
        "*Reference* is `tests/trainables/published.py`, *plain* the same model with torch's cross-entropy, "
        "clipping and SGD. An *inner* step is one of aggressive training, *alone* that with `inner_alone`. "
        "The last column "
        "is the largest difference of "
        f"any weight after {COMPARED} joint steps in float64, fp32 and plain; *of the limit* is what fp32 "
        f"reaches of the {limit:.0f} GFLOP/s of a large product, both measured in this run.",
        "",
        "| sizes, decoder | batch | step | reference | plain | fp32 | bf16 | fp32 : reference | fp32 : plain "
        "| bf16 : reference | bf16 : plain | alone : fp32 | of the limit | difference |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    print("\n".join(lines), flush=True)
    for case in CASES:
        for inner in (False, True):
            lines.append(row(case, rounds, limit, device, inner=inner))
            print(lines[-1], flush=True)
    lines += [
        "",
        f"Not measured: {'CPUs' if on_gpu else 'GPUs, more than one thread'}. A ratio to the reference is "
        "large, as that writes the LSTM out step by step; that to *plain* is what was gained over torch's "
        "own parts.",
        "",
    ]
    asked.to.write_text("\n".join(lines), encoding="utf-8")
    print(f"written to {asked.to}")


if __name__ == "__main__":
    main()
