"""How fast a model trains on this machine: some of its steps and evaluations, timed before a sweep."""

from __future__ import annotations

import math
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import torch

from orchestrator.search.trial_plan import TrialPlan
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.common.cpu import prepare_cpu
from trainables.evaluation.evaluate import evaluate
from trainables.evaluation.importance_weighting import importance_weighted_nll
from trainables.text.batches import training_batches
from trainables.text.splits import Corpus
from trainables.training.loop import Training

SECONDS = 1.5
"""So long steps are timed, after the first ones, which are slower."""
_FIRST = 3
_SENTENCES = 20
_SAMPLED = 1 / 3
"""Of the samples of z that an examination may take, where it ends when they suffice: a guess, as an untrained
model needs few."""


@dataclass(frozen=True)
class Pace:
    """What was measured of a model.

    Attributes:
        update: seconds of an optimiser step, an inner step of aggressive training alike.
        updates: steps of an epoch.
        evaluation: seconds of the evaluation after an epoch.
        end: seconds of the figures at a trial's end.
        examination: seconds of the examination of a run after the search.
        memory: bytes at its peak; of a GPU where the trial is on one, else of the process.
    """

    update: float
    updates: int
    evaluation: float
    end: float
    examination: float
    memory: int


def probed(plans: Mapping[str, TrialPlan], spec: SweepSpec, corpus: Corpus, slots: int) -> dict[str, Pace]:
    """The pace of each, as many at a time as trials will run, in processes of their own.

    Raises:
        SpecError: trials ask for a GPU, and this machine has none.
    """
    if spec.resources.share and not torch.cuda.is_available():
        raise SpecError(
            "--plan: must be run where there is a GPU, as trials ask for one, got a machine without"
        )
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(slots, len(plans)), mp_context=context, max_tasks_per_child=1) as pool:
        futures = {name: pool.submit(probe, plan, spec, corpus) for name, plan in plans.items()}
        return {name: future.result() for name, future in futures.items()}


def probe(plan: TrialPlan, spec: SweepSpec, corpus: Corpus) -> Pace:
    """The pace of one, in this process."""
    prepare_cpu(max(1, int(spec.resources.cpus)))
    device = "cuda" if spec.resources.share else "cpu"
    training = Training(plan.build(), corpus, epochs=spec.epochs.planned, seed=plan.seed, device=device)
    model, place = training.model, training.device
    start, steps = 0.0, 0
    batches = training_batches(corpus.train, training.variant.batch_size, training.batch_rng, fixed=False)
    model.train()
    for number, batch in enumerate(batches):
        if number == _FIRST:
            start = _now(place)
        training.gradients(batch)
        training.step_inference()
        training.step_generator()
        steps = number + 1 - _FIRST
        if steps > 0 and time.perf_counter() - start > SECONDS:
            break
    update = (_now(place) - start) / max(1, steps) if steps > 0 else 0.0
    begin = _now(place)
    evaluate(model, corpus.valid, place)
    evaluation = _now(place) - begin
    split = corpus.test
    final = math.ceil(spec.final_iw_samples * (_SAMPLED if spec.final_iw_tolerance else 1))
    weighted = {
        samples: _weighted(training, samples, min(_SENTENCES, len(split)))
        for samples in (spec.iw_samples, final)
    }
    sentences = min(spec.iw_sentences, len(split))
    examined = min(spec.final_iw_sentences or len(split), len(split))
    return Pace(
        update,
        training.steps_per_epoch,
        evaluation,
        2 * evaluation + weighted[spec.iw_samples] * sentences,
        weighted[final] * examined,
        _memory(place),
    )


def _weighted(training: Training, samples: int, sentences: int) -> float:
    """Seconds of the IW-NLL of a sentence."""
    begin = _now(training.device)
    importance_weighted_nll(
        training.model, training.corpus.test, training.device, samples=samples, sentences=sentences
    )
    return (_now(training.device) - begin) / sentences


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def with_local_gpus(spec: SweepSpec) -> SweepSpec:
    """With `gpus: auto` a whole GPU for each trial where this machine has one: how many share it is measured
    when the sweep begins."""
    if spec.resources.gpus is not None:
        return spec
    gpus = float(torch.cuda.is_available())
    return spec.model_copy(update={"resources": spec.resources.model_copy(update={"gpus": gpus})})


def local_slots(spec: SweepSpec) -> int:
    """Trials that run at a time on this machine; at least one."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    fits = int(cpus / spec.resources.cpus)
    if spec.resources.share:
        fits = min(fits, int(torch.cuda.device_count() / spec.resources.share))
    return max(1, fits if spec.max_concurrent is None else min(fits, spec.max_concurrent))
