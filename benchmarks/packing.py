"""How many trainings share a GPU best: 1, 2, 4, 8 and 16 processes at a time, without and with CUDA's MPS.

    python -m benchmarks.packing --device cuda

Each process trains the same model on the same text; all begin together and are counted for as long, so that
none runs alone. It writes docs/benchmarks/packing.md. It needs torch and numpy alone; a CPU does for a try:
`--device cpu --processes 1,2 --seconds 3`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import queue
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch

from trainables.text.batches import training_batches
from trainables.text.corpora import load_corpus
from trainables.text.grammar import embedded_corpus
from trainables.text.splits import Corpus
from trainables.training.gpu_use import GpuUse, gpu_use
from trainables.training.loop import Training
from trainables.variants import load_variant

TARGET = Path(__file__).parents[1] / "docs" / "benchmarks" / "packing.md"
MODEL = {"embedding_size": 128, "hidden_size": 256, "latent_size": 32, "batch_size": 32}
PROCESSES = (1, 2, 4, 8, 16)
_FIRST = 5


@dataclass(frozen=True)
class Row:
    """Of so many processes at a time: steps a second of all, and the peak memory of one, MiB."""

    processes: int
    mps: bool
    steps_a_second: float
    memory: float


def train(corpus: Corpus, device: str, seconds: float, barrier: Any, results: Any) -> None:
    """In a process of its own: its steps a second and its memory, which it puts into `results`."""
    torch.set_num_threads(1)
    training = Training(load_variant("vanilla").with_knobs(MODEL), corpus, epochs=1, seed=0, device=device)
    training.model.train()

    def batches() -> Iterator[Any]:
        while True:
            yield from training_batches(corpus.train, MODEL["batch_size"], training.batch_rng, fixed=False)

    steps, begin = -_FIRST, 0.0
    for batch in batches():
        if steps == 0:
            _synchronised(device)
            barrier.wait()
            begin = time.perf_counter()
        training.gradients(batch)
        training.step_inference()
        training.step_generator()
        steps += 1
        if steps > 0 and steps % 10 == 0:
            _synchronised(device)  # else the steps that the GPU has not done yet would count
        if steps > 0 and time.perf_counter() - begin > seconds:
            break
    _synchronised(device)
    memory = torch.cuda.max_memory_reserved() / 2**20 if device.startswith("cuda") else 0.0
    results.put((steps / (time.perf_counter() - begin), memory))


def _synchronised(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def measured(corpus: Corpus, device: str, processes: int, seconds: float, *, mps: bool) -> Row:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes), context.Queue()
    started = [
        context.Process(target=train, args=(corpus, device, seconds, barrier, results))
        for _ in range(processes)
    ]
    for process in started:
        process.start()
    found: list[tuple[float, float]] = []
    while len(found) < processes:
        try:
            found.append(results.get(timeout=1))
        except queue.Empty:
            if any(process.exitcode for process in started):
                barrier.abort()
                raise RuntimeError(f"a training of {processes} ended by itself; see above") from None
    for process in started:
        process.join()
    return Row(processes, mps, sum(rate for rate, _ in found), max(memory for _, memory in found))


def in_a_process_of_its_own(corpus: Corpus) -> GpuUse | None:
    """What one training takes of the GPU; this process has been on it too."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(gpu_use, [load_variant("vanilla").with_knobs(MODEL)], corpus, 100, 1).result()


@contextmanager
def mps_running() -> Iterator[None]:
    """CUDA's Multi-Process Service serves the processes that begin in this block."""
    subprocess.run(["nvidia-cuda-mps-control", "-d"], check=True)
    try:
        yield
    finally:
        subprocess.run(["nvidia-cuda-mps-control"], input="quit\n", text=True, check=False)


def page(rows: Sequence[Row], use: GpuUse | None, device: str, corpus: Corpus, seconds: float) -> str:
    name = torch.cuda.get_device_name() if device.startswith("cuda") else "a CPU"
    alone = rows[0].steps_a_second
    lines = [
        "# Trainings that share a GPU",
        "",
        f"`python -m benchmarks.packing`, {date.today()}, {name}, torch {torch.__version__}, "
        f"{os.cpu_count()} CPUs. vanilla with an LSTM decoder, 128/256/32, batch 32, {corpus.name} with "
        f"{len(corpus.vocabulary):,} words; so many processes at a time, one CPU thread each, all of them "
        f"counted over the same {seconds:g} s.",
        "",
        "| processes | MPS | steps a second, all | × one | MiB each |",
        "|---:|---|---:|---:|---:|",
        *(
            f"| {row.processes} | {'with' if row.mps else 'without'} | {row.steps_a_second:.1f} | "
            f"{row.steps_a_second / alone:.2f} | {row.memory:,.0f} |"
            for row in rows
        ),
        "",
    ]
    if use is not None:
        busy = "how busy was not seen" if use.busy is None else f"{use.busy:.0%} of the time busy with one"
        lines += [
            f"`gpus: auto` would let {use.packed()} trainings share it: one uses "
            f"{use.needed / 2**20:,.0f} of {use.total / 2**20:,.0f} MiB; {busy}.",
            "",
        ]
    if not any(row.mps for row in rows):
        lines += ["Not measured: MPS, which this machine does not have.", ""]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--device", default="cuda")
    options.add_argument("--corpus", help="folder or text file (default: the embedded corpus)")
    options.add_argument("--processes", default=",".join(map(str, PROCESSES)))
    options.add_argument("--seconds", type=float, default=10.0)
    options.add_argument("--to", type=Path, default=TARGET)
    asked = options.parse_args(arguments)
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        options.error(f"--device must be one that is here, got {asked.device}")
    corpus = load_corpus(asked.corpus) if asked.corpus else embedded_corpus()
    rows: list[Row] = []
    for mps in (False, True) if shutil.which("nvidia-cuda-mps-control") else (False,):
        for processes in map(int, asked.processes.split(",")):
            with mps_running() if mps else nullcontext():
                rows.append(measured(corpus, asked.device, processes, asked.seconds, mps=mps))
            print(rows[-1], flush=True)
    use = in_a_process_of_its_own(corpus) if asked.device.startswith("cuda") else None
    asked.to.write_text(page(rows, use, asked.device, corpus, asked.seconds), encoding="utf-8")


if __name__ == "__main__":
    main()
