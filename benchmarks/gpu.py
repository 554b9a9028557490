"""All that a GPU is wanted for, in one go: some minutes on torch and numpy alone.

    python -m benchmarks.gpu [--device cuda] [--to FOLDER]

measures a training step beside the plainly written one, what fused trainings could gain, and how many
trainings share the GPU best. It writes train_step_gpu.md, fused_gpu.md and packing.md into the folder; one
that fails keeps the others from nothing. `--device cpu --try` is for a machine without a GPU.
"""

from __future__ import annotations

import argparse
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import fused, packing, train_step

FOLDER = Path(__file__).parents[1] / "docs" / "benchmarks"
Benchmark = Callable[[Sequence[str]], None]
BENCHMARKS: Sequence[tuple[str, Benchmark, Sequence[str], Sequence[str]]] = (
    ("packing.md", packing.main, (), ("--processes", "1,2", "--seconds", "1")),
    ("train_step_gpu.md", train_step.main, ("--rounds", "7"), ("--rounds", "1")),
    ("fused_gpu.md", fused.main, (), ("--rounds", "1")),
)
"""The file, the benchmark, its options, and those of a try."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The number of benchmarks that failed."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--device", default="cuda")
    options.add_argument("--to", type=Path, default=FOLDER)
    options.add_argument("--try", action="store_true", dest="short", help="as short as it can be")
    asked = options.parse_args(arguments)
    asked.to.mkdir(parents=True, exist_ok=True)
    failed = 0
    for file, benchmark, usual, short in BENCHMARKS:
        begin = time.monotonic()
        try:
            benchmark(
                ["--device", asked.device, "--to", str(asked.to / file), *(short if asked.short else usual)]
            )
        except Exception:  # the next one may go well, and the machine is there for minutes
            failed += 1
            traceback.print_exc()
        print(f"{file}: {time.monotonic() - begin:.0f} s", flush=True)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
