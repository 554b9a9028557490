"""The dilated block as matrix products, as the decoder has it, beside the same block from `Conv1d`.

    python -m benchmarks.dilated_block

Both are given the same weights and checked to agree, then timed in turns, forward and backward, on one
thread; the table goes to docs/benchmarks/dilated_block.md.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.machine import processor
from trainables.parts.convolutions import KERNEL, CausalBlock
from trainables.parts.decoders import DilatedDecoder

TARGET = Path(__file__).parents[1] / "docs" / "benchmarks" / "dilated_block.md"
ROUNDS, REPEATS = 15, 5
CASES = [("S", 64, 16, 25), ("VL", 64, 16, 25), ("S", 512, 32, 12), ("VL", 512, 32, 12)]


class ConvBlock(nn.Module):
    """The block's textbook form, channels first."""

    def __init__(self, block: CausalBlock) -> None:
        super().__init__()
        self.dilation = block.dilation
        inside, channels = block.narrow.weight.shape
        self.narrow, self.widen = nn.Conv1d(channels, inside, 1), nn.Conv1d(inside, channels, 1)
        self.dilated = nn.Conv1d(inside, inside, KERNEL, dilation=block.dilation)
        with torch.no_grad():
            self.narrow.weight.copy_(block.narrow.weight[:, :, None])
            self.widen.weight.copy_(block.widen.weight[:, :, None])
            self.dilated.weight.copy_(block.dilated.weight.view(inside, KERNEL, inside).transpose(1, 2))
            for mine, theirs in ((self.narrow, block.narrow), (self.widen, block.widen)):
                mine.bias.copy_(theirs.bias)  # type: ignore[union-attr]
            self.dilated.bias.copy_(block.dilated.bias)  # type: ignore[union-attr]

    def forward(self, x_BHT: Tensor) -> Tensor:
        narrow = functional.pad(self.narrow(x_BHT).relu(), ((KERNEL - 1) * self.dilation, 0))
        return x_BHT + self.widen(self.dilated(narrow).relu())  # type: ignore[no-any-return]


def compare(name: str, channels: int, sentences: int, positions: int) -> tuple[float, float, float]:
    """Median milliseconds of ours and of Conv1d, and the median of their ratio round by round."""
    torch.manual_seed(0)
    ours = nn.Sequential(*(CausalBlock(channels, d) for d in DilatedDecoder(dilation=name).dilations))
    theirs = nn.Sequential(*(ConvBlock(block) for block in ours))  # type: ignore[arg-type]
    x_BTH = torch.randn(sentences, positions, channels, requires_grad=True)
    x_BHT = x_BTH.detach().transpose(1, 2).contiguous().requires_grad_()
    assert torch.allclose(ours(x_BTH), theirs(x_BHT).transpose(1, 2), atol=1e-4)
    ours_ms, theirs_ms = [], []
    for _ in range(ROUNDS):
        ours_ms.append(_time(lambda: ours(x_BTH)))
        theirs_ms.append(_time(lambda: theirs(x_BHT)))
    ratios = [b / a for a, b in zip(ours_ms, theirs_ms, strict=True)]
    return statistics.median(ours_ms), statistics.median(theirs_ms), statistics.median(ratios)


def main() -> None:
    torch.set_num_threads(1)
    lines = [
        "# The dilated block: matrix products beside `Conv1d`",
        "",
        f"`python -m benchmarks.dilated_block`, {date.today()}, {processor()}, torch "
        f"{torch.__version__.partition('+')[0]}, one CPU thread, {ROUNDS} rounds in turns; forward and "
        "backward of all blocks, median milliseconds. Ratio above 1: the matrix products are faster.",
        "",
        "| dilation | channels | sentences × positions | matrix products | Conv1d | ratio |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, channels, sentences, positions in CASES:
        ours, theirs, ratio = compare(name, channels, sentences, positions)
        lines.append(
            f"| {name} | {channels} | {sentences} × {positions} | {ours:.2f} | {theirs:.2f} | {ratio:.2f} |"
        )
        print(lines[-1], flush=True)
    lines += ["", "Not measured: GPUs, half precision, more than one thread.", ""]
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text("\n".join(lines), encoding="utf-8")
    print(f"written to {TARGET}")


def _time(forward: Callable[[], Tensor]) -> float:
    start = time.perf_counter()
    for _ in range(REPEATS):
        forward().sum().backward()
    return (time.perf_counter() - start) / REPEATS * 1000


if __name__ == "__main__":
    main()
