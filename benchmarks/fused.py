"""What training several configurations as one batched model could gain on a core, at most and for real.

    python -m benchmarks.fused [--device cuda]

K fused trainings do the products of one training with K times the batch, in smaller pieces, and K times the
optimiser's work. So K single steps over one step with K times the batch is more than fusing can reach: where
this is small, fused trials need not be built. Beside it four decoders with weights of their own, forward and
backward, one after the other and as one: the dilated one by `torch.func.vmap`, an LSTM's layer by batched
products, as torch's LSTM has no such form. All are timed in turns on one thread; the tables go to
docs/benchmarks/fused.md.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional

from benchmarks.machine import processor
from benchmarks.train_step import Case, corpus, now, take_torchs
from trainables.common.cpu import prepare_cpu
from trainables.text.batches import Batch
from trainables.text.vocabulary import SPECIAL_WORDS
from trainables.training.loop import Training

TARGET = Path(__file__).parents[1] / "docs" / "benchmarks" / "fused.md"
FUSED, DECODERS = (2, 4), 4
LENGTH, STEPS = 26, 5
"""Tokens of a sentence; steps of a side in a round."""
SIZES = ((64, 64, 16, 16, 129), (32, 64, 16, 32, 129), (128, 256, 32, 32, 5452))
CASES = [Case(*sizes, decoder) for sizes in SIZES for decoder in ("lstm", "dilated")]


def batch_of(case: Case, sentences: int) -> Batch:
    """Random sentences of one length."""
    rng = np.random.default_rng(0)
    tokens_BT = torch.from_numpy(rng.integers(len(SPECIAL_WORDS), case.words, (sentences, LENGTH)))
    return Batch(tokens_BT, None, np.arange(sentences))


def step(training: Training, batch: Batch) -> None:
    training.gradients(batch)
    training.step_inference()
    training.step_generator()


def milliseconds(run: Callable[[], object], device: str) -> float:
    start = now(device)
    for _ in range(STEPS):
        run()
    return (now(device) - start) / STEPS * 1000


def row(case: Case, device: str, rounds: int) -> str:
    """Milliseconds of a step, and by how much one with K times the batch is cheaper than K of them."""
    training = Training(case.variant(optimizer="adam"), corpus(case.words), epochs=1, seed=0, device=device)
    training.model.train()
    batches = {times: batch_of(case, times * case.batch) for times in (1, *FUSED)}
    found: dict[int, list[float]] = {times: [] for times in batches}
    for _ in range(rounds + 1):
        for times, batch in batches.items():
            found[times].append(milliseconds(partial(step, training, batch), device))
    single = found[1][1:]
    gains = [
        statistics.median(times * one / many for one, many in zip(single, found[times][1:], strict=True))
        for times in FUSED
    ]
    cells = [f"{statistics.median(single):.1f}", *(f"{gain:.2f}" for gain in gains)]
    return f"| {case.name} | {case.batch} | {' | '.join(cells)} |"


Pass = Callable[[], Tensor]
"""Forward and backward; a number that both ways have."""


def passed(loss: Tensor) -> Tensor:
    torch.autograd.backward(loss)
    return loss.detach()


def dilated(case: Case, device: str) -> tuple[Pass, Pass]:
    """The cross-entropies of decoders with weights of their own, one by one and in one."""
    variant = case.variant()
    decoders = [
        variant.decoder.build(case.words, variant.sizes, case.latent).to(device) for _ in range(DECODERS)
    ]
    tokens_KBT = torch.randint(case.words, (DECODERS, case.batch, LENGTH), device=device)
    z_KBZ = torch.randn(DECODERS, case.batch, case.latent, device=device)

    def apart() -> Tensor:
        losses = []
        for decoder, tokens_BT, z_BZ in zip(decoders, tokens_KBT, z_KBZ, strict=True):
            logits_BTV = decoder(tokens_BT[:, :-1], z_BZ)
            loss = functional.cross_entropy(logits_BTV.flatten(0, 1), tokens_BT[:, 1:].flatten())
            losses.append(passed(loss))
        return torch.stack(losses).sum()

    weights, buffers = stack_module_state(decoders)
    empty = copy.deepcopy(decoders[0]).to("meta")
    take_torchs(empty)

    def one(own: dict[str, Tensor], buffer: dict[str, Tensor], tokens_BT: Tensor, z_BZ: Tensor) -> Tensor:
        logits_BTV: Tensor = functional_call(empty, (own, buffer), (tokens_BT, z_BZ))
        return logits_BTV

    def together() -> Tensor:
        logits_KBTV = vmap(one)(weights, buffers, tokens_KBT[..., :-1], z_KBZ)
        mean = functional.cross_entropy(logits_KBTV.flatten(0, 2), tokens_KBT[..., 1:].flatten())
        return passed(DECODERS * mean)

    return apart, together


def lstm(case: Case, device: str) -> tuple[Pass, Pass]:
    """The sums of LSTM layers' states."""
    width, hidden = case.embedding + case.latent, case.hidden
    layers = [nn.LSTM(width, hidden, batch_first=True, device=device) for _ in range(DECODERS)]
    x_KBTE = torch.randn(DECODERS, case.batch, LENGTH - 1, width, device=device)

    def apart() -> Tensor:
        pairs = zip(layers, x_KBTE, strict=True)
        return torch.stack([passed(layer(x_BTE)[0].sum()) for layer, x_BTE in pairs]).sum()

    def stacked(name: str) -> Tensor:
        return torch.stack([getattr(layer, name).detach() for layer in layers]).requires_grad_()

    inputs, states = stacked("weight_ih_l0"), stacked("weight_hh_l0")
    biases = stacked("bias_ih_l0"), stacked("bias_hh_l0")

    def together() -> Tensor:
        bias_K1G = (biases[0] + biases[1]).unsqueeze(1)
        gates_KBTG = torch.baddbmm(bias_K1G, x_KBTE.flatten(1, 2), inputs.mT).unflatten(1, x_KBTE.shape[1:3])
        h_KBH = c_KBH = torch.zeros(DECODERS, case.batch, hidden, device=device)
        found: list[Tensor] = []
        for gates_KBG in gates_KBTG.unbind(2):
            i, f, g, o = torch.baddbmm(gates_KBG, h_KBH, states.mT).chunk(4, dim=2)
            c_KBH = f.sigmoid() * c_KBH + i.sigmoid() * g.tanh()
            h_KBH = o.sigmoid() * c_KBH.tanh()
            found.append(h_KBH)
        return passed(torch.stack(found).sum())

    return apart, together


def real_row(case: Case, device: str, rounds: int) -> str:
    """Milliseconds of four one by one, of four in one, and how many times cheaper that is."""
    torch.manual_seed(0)
    sides = (lstm if case.decoder == "lstm" else dilated)(case, device)
    assert torch.allclose(sides[0](), sides[1](), rtol=1e-3, atol=1e-2)
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for side, taken in zip(sides, found, strict=True):
            taken.append(milliseconds(side, device))
    apart, together = (statistics.median(taken[1:]) for taken in found)
    gain = statistics.median(a / b for a, b in zip(found[0][1:], found[1][1:], strict=True))
    return f"| {case.name} | {case.batch} | {apart:.1f} | {together:.1f} | {gain:.2f} |"


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--device", default="cpu")
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--to", type=Path, default=TARGET)
    asked = options.parse_args(arguments)
    prepare_cpu(1)
    on_gpu = asked.device.startswith("cuda")
    machine = torch.cuda.get_device_name() if on_gpu else f"{processor()}, one thread"
    lines = [
        "# Fused trainings: the most that they could gain, and what they do",
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
    lines += [
        "",
        f"Milliseconds of {DECODERS} decoders with weights of their own, forward and backward, one by one "
        "and in one (a dilated decoder with its output layer and torch's cross-entropy by `vmap`, an LSTM's "
        "layer by batched products): above 1 fusing gains.",
        "",
        "| sizes, decoder | batch | one by one | in one | gain |",
        "|---|---:|---:|---:|---:|",
    ]
    print("\n".join(lines[-3:]), flush=True)
    for case in CASES:
        lines.append(real_row(case, asked.device, asked.rounds))
        print(lines[-1], flush=True)
    gpus = "GPUs, where a small step waits for the launching of its kernels"
    lines += ["", f"Not measured: {'CPUs' if on_gpu else gpus}.", ""]
    asked.to.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
