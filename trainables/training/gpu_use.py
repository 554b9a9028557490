"""What a training takes of a GPU: memory at its peak, and how much of the time it keeps it busy."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.profiler import ProfilerActivity, profile

from trainables.evaluation.evaluate import evaluate
from trainables.evaluation.importance_weighting import importance_weighted_nll
from trainables.model.variant import Variant
from trainables.text.batches import Batch, training_batches
from trainables.text.splits import Corpus
from trainables.training.loop import Training

MOST, USUAL = 8, 4
"""Trainings that share a GPU, at most; and where it is not known how busy one keeps it. Of a model of
128/256/32, 4 processes did 3.2 times the steps of one, and 8 no more."""
FILLED = 0.8
"""Of a GPU's memory they may take so much together, as far as has been measured."""
STEPS = 30
"""So many are timed, after some on the longest batches."""
_LONGEST = 5


@dataclass(frozen=True)
class GpuUse:
    """What was measured of trainings that had a GPU for themselves, one after the other.

    Attributes:
        total: bytes that the GPU has.
        needed: bytes in use on it at the peak of the largest, CUDA's own included.
        busy: share of a step's time in which it computes, 0 to 1, of that which keeps it busiest; None where
            the driver does not let itself be profiled.
    """

    total: int
    needed: int
    busy: float | None

    def packed(self, most: int = MOST) -> int:
        """How many should share the GPU: as many as fit and keep it busy, from 1 to `most`."""
        fit = int(FILLED * self.total / self.needed)
        useful = USUAL if self.busy is None else math.ceil(1 / max(self.busy, 1 / MOST))
        return max(1, min(fit, useful, most))


def gpu_use(variants: Sequence[Variant], corpus: Corpus, iw_samples: int, threads: int) -> GpuUse | None:
    """What these take of this process's GPU; None where torch sees none.

    Each trains on the longest batches of the corpus, is evaluated, and takes some usual steps. All that is in
    use on the GPU counts, so nobody else should be on it.

    Raises:
        torch.OutOfMemoryError: one of them does not fit on the GPU.
    """
    if not torch.cuda.is_available():
        return None
    torch.set_num_threads(threads)
    device = torch.device("cuda")
    shares = [busy_share(variant, corpus, iw_samples, device) for variant in variants]
    free, total = torch.cuda.mem_get_info()  # what a training has freed torch keeps
    known = [share for share in shares if share is not None]
    return GpuUse(total, total - free, max(known, default=None))


def busy_share(variant: Variant, corpus: Corpus, iw_samples: int, device: torch.device) -> float | None:
    """Trains for some steps, and evaluates; the share of a step's time in which a GPU computes, None where
    nothing was seen on one."""
    training = Training(variant, corpus, epochs=1, seed=0, device=str(device))
    drawn = training_batches(
        corpus.train, variant.batch_size, training.batch_rng, fixed=variant.fixed_batches
    )
    batches = list(drawn)
    longest = sorted(batches, key=lambda batch: batch.tokens_BT.numel())[-_LONGEST:]
    training.model.train()
    _take(longest, training)
    evaluate(training.model, corpus.valid, device)
    importance_weighted_nll(training.model, corpus.test, device, samples=iw_samples, sentences=1)
    training.model.train()
    begin = time.perf_counter()
    _take(batches[:STEPS], training)
    whole = time.perf_counter() - begin
    on_gpu = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as profiled:
        _take(batches[:STEPS], training)
    seen = [event for event in profiled.events() or () if event.device_type.name == "CUDA"]
    computing = sum(float(event.device_time_total) for event in seen) / 1e6
    return min(1.0, computing / whole) if computing else None


def _take(batches: Sequence[Batch], training: Training) -> None:
    """A step on each."""
    for batch in batches:
        training.gradients(batch)
        training.step_inference()
        training.step_generator()
    if training.device.type == "cuda":
        torch.cuda.synchronize()
