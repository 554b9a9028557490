"""`gpus: auto`: how many trials share a GPU, from what there is and from what their models take of one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import ray
import torch
from ray.exceptions import RayTaskError

from orchestrator.cluster.capacity import Capacity, Node
from orchestrator.cluster.slots import PATIENCE_S
from orchestrator.common.wording import plural
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sections import ACCELERATOR, AUTO_GPUS, Resources
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.model.variant import Variant
from trainables.text.splits import Corpus
from trainables.training.gpu_use import MOST, GpuUse, gpu_use

Kinds = tuple[str, ...]
Task: TypeAlias = "ray.ObjectRef[GpuUse | None]"
NONE_CAME = "none came"


def share_of(trials: int) -> float:
    """What each of so many reserves: Ray counts in ten thousandths, and all must fit."""
    return math.floor(10_000 / trials) / 10_000


def settled(
    spec: SweepSpec, variants: Sequence[Variant], corpus: Corpus, say: Callable[[str], None]
) -> SweepSpec:
    """The spec with a number for `gpus: auto`: 0 where no node has a GPU, else the share at which they are
    used best. The models are measured on a GPU of each kind that is there or may come; one of which none has
    come a minute after the others is left out.

    Args:
        variants: the largest models of the sweep.
        say: a line for people.

    Raises:
        SpecError: a GPU is there and cannot be used, none is large enough, or none is of the kind asked for.
    """
    asked = spec.resources
    if asked.gpus is not None:
        return spec
    capacity = Capacity.here()
    nodes = [node for node in capacity.known if node.gpus and asked.accelerator in (None, *node.kinds)]
    if asked.accelerator and not nodes:
        raise SpecError(
            f"resources.gpus must be a number where no node has {asked.accelerator} so far, got {AUTO_GPUS};"
            f" {capacity.there_is()}"
        )
    resources = _settled(spec, variants, corpus, capacity, nodes, say) if nodes else _on_cpus(asked)
    if not nodes and capacity.grows and capacity.types is None:
        say("no node has a GPU so far, so trials run on CPUs; --gpus 1 asks for one")
    return spec.model_copy(update={"resources": resources})


def _on_cpus(asked: Resources) -> Resources:
    return asked.model_copy(update={"gpus": 0.0, "accelerator": None})


def _settled(
    spec: SweepSpec,
    variants: Sequence[Variant],
    corpus: Corpus,
    capacity: Capacity,
    nodes: Sequence[Node],
    say: Callable[[str], None],
) -> Resources:
    asked = spec.resources
    text = ray.put(corpus)
    measure = ray.remote(num_cpus=asked.cpus, num_gpus=1)(gpu_use)
    threads = max(1, int(asked.cpus))
    tasks = {
        kinds: measure.options(
            resources={f"{ACCELERATOR}{kind}": 0.001 for kind in kinds} or asked.kind
        ).remote(variants, text, spec.iw_samples, threads)
        for kinds in sorted({node.kinds for node in nodes})
    }
    say("measuring what the largest models take of a GPU")
    ended, late = _waited(tasks.values())
    while not ended:
        say(f"waiting for a GPU to measure on; there is: {capacity.again().there_is()}")
        ended, late = _waited(tasks.values())
    uses = {kinds: NONE_CAME if task in late else _result(task) for kinds, task in tasks.items()}
    for task in late:
        ray.cancel(task)
    return chosen(asked, nodes, uses, say)


def _waited(tasks: Iterable[Task]) -> tuple[list[Task], list[Task]]:
    """Those that have ended, and those that have not, once all have or a minute is over."""
    waited_for = list(tasks)
    return ray.wait(waited_for, num_returns=len(waited_for), timeout=PATIENCE_S)


def _result(task: Task) -> GpuUse | str | None:
    """What was measured, or why the models do not fit."""
    try:
        use: GpuUse | None = ray.get(task)
    except RayTaskError as error:
        cause = (str(error.cause).splitlines() or [type(error.cause).__name__])[0]
        if isinstance(error.cause, torch.OutOfMemoryError):
            return cause
        raise SpecError(
            f"resources.gpus: {AUTO_GPUS} must be measured on a GPU that works, got {cause!r}; give --gpus"
        ) from None
    return use


def chosen(
    asked: Resources,
    nodes: Sequence[Node],
    uses: Mapping[Kinds, GpuUse | str | None],
    say: Callable[[str], None],
) -> Resources:
    """What each trial reserves.

    Args:
        nodes: those with a GPU.
        uses: what was measured on each kind of them; None where torch sees no GPU there, a text where the
            models do not fit or none came.

    Raises:
        SpecError: they fit on none.
    """
    usable = {kinds: use for kinds, use in uses.items() if isinstance(use, GpuUse)}
    if not usable:
        if small := [use for use in uses.values() if isinstance(use, str) and use != NONE_CAME]:
            raise SpecError(f"resources.gpus: the largest model must fit on a GPU, got {small[0]!r}")
        say("there are GPUs, and torch sees none on their nodes: trials run on CPUs")
        return _on_cpus(asked)
    if len(usable) < len(uses):  # trials must not go where they do not fit
        best = max(usable, key=lambda kinds: sum(node.gpus for node in nodes if node.kinds == kinds))
        usable = {best: usable[best]}
        asked = asked.model_copy(update={"accelerator": asked.accelerator or next(iter(best), None)})
        nodes = [node for node in nodes if node.kinds == best]
        others = "; ".join(f"{_named(kinds)}: {_why(use)}" for kinds, use in uses.items() if kinds != best)
        say(f"trials keep to {_named(best)} ({others})")
    beside = max(int(node.cpus / node.gpus / asked.cpus + 1e-9) for node in nodes)
    trials, use = min(
        ((use.packed(max(1, min(MOST, beside))), use) for use in usable.values()), key=lambda each: each[0]
    )
    busy = "" if use.busy is None else f" and {use.busy:.0%} of its time"
    many = "a trial gets a GPU" if trials == 1 else f"{plural(trials, 'trial')} share a GPU"
    say(f"{many}: the largest takes {use.needed / 2**30:.1f} of {use.total / 2**30:.1f} GiB{busy}")
    return asked.model_copy(update={"gpus": share_of(trials)})


def _named(kinds: Kinds) -> str:
    return ", ".join(kinds) or "GPUs of no named kind"


def _why(use: GpuUse | str | None) -> str:
    """Why trials do not go there."""
    match use:
        case None:
            return "torch sees none"
        case str():
            return use
        case _:
            return "fewer"
