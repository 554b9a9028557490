"""oneDNN's matrix products in single precision beside MKL's, on one CPU thread.

    python -m benchmarks.products

Of a linear layer: its value and the gradients of input and weight, in turns. The table goes to
docs/benchmarks/products.md.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.machine import processor
from trainables.parts.products import SMALLEST, by_onednn, onednn_is_faster

TARGET = Path(__file__).parents[1] / "docs" / "benchmarks" / "products.md"
ROUNDS, SECONDS = 15, 0.02
CASES = [  # rows, inside, columns
    (704, 1024, 5456),
    (704, 256, 5456),
    (704, 1024, 512),
    (704, 256, 128),
    (1024, 64, 127),
    (1024, 64, 64),
    (352, 64, 64),
    (64, 128, 64),
]


def pairs(rows: int, inside: int, columns: int) -> list[tuple[Callable[[], Tensor], Callable[[], Tensor]]]:
    """Value, gradient of the input and of the weight: by MKL, by oneDNN."""
    torch.manual_seed(0)
    x, weight, gradient = torch.randn(rows, inside), torch.randn(columns, inside), torch.randn(rows, columns)
    sides = [(x, weight), (gradient, weight.T), (gradient.T, x.T)]
    return [(partial(torch.mm, a, b.T), partial(by_onednn, a, b)) for a, b in sides]


def milliseconds(product: Callable[[], Tensor], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        product()
    return (time.perf_counter() - start) / repeats * 1000


def compare(mkl: Callable[[], Tensor], onednn: Callable[[], Tensor]) -> str:
    """Median milliseconds of both, and the median of their ratio round by round."""
    assert torch.allclose(mkl(), onednn(), rtol=1e-4, atol=1e-2)
    repeats = max(1, int(SECONDS * 1000 / milliseconds(mkl, 3)))
    found = [(milliseconds(mkl, repeats), milliseconds(onednn, repeats)) for _ in range(ROUNDS)]
    theirs, ours = (statistics.median(side) for side in zip(*found, strict=True))
    return f"{theirs:.3f} : {ours:.3f} = {statistics.median(a / b for a, b in found):.2f}"


def main() -> None:
    torch.set_num_threads(1)
    lines = [
        "# Matrix products: oneDNN beside MKL",
        "",
        f"`python -m benchmarks.products`, {date.today()}, {processor()}, torch "
        f"{torch.__version__.partition('+')[0]}, one CPU thread, {ROUNDS} rounds in turns. Milliseconds of "
        "a linear layer's three products in single precision, MKL : oneDNN, and the median of their ratio: "
        f"above 1 oneDNN is faster. A training takes oneDNN's from {SMALLEST:,} multiplications on, on CPUs "
        f"of AMD with AVX-512, as this one {'is' if onednn_is_faster() else 'is not'}.",
        "",
        "| rows, inside, columns | millions | value | gradient of the input | of the weight |",
        "|---|---:|---:|---:|---:|",
    ]
    print("\n".join(lines), flush=True)
    for case in CASES:
        rows, inside, columns = case
        cells = [
            f"{rows:,} × {inside:,} × {columns:,}",
            f"{rows * inside * columns / 1e6:,.1f}",
            *(compare(*pair) for pair in pairs(*case)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    lines += ["", "Not measured: CPUs of Intel, several threads, float64.", ""]
    TARGET.write_text("\n".join(lines), encoding="utf-8")
    print(f"written to {TARGET}")


if __name__ == "__main__":
    main()
