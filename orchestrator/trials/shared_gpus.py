"""Trials that share GPUs: one that runs out of memory on a share gets twice the share, and so do all of its
size that begin after it.

Memory is not isolated between those that share a GPU, so a lack of it says nothing of the configuration. What
was learnt of a size the searcher's checkpoint keeps, so that a resume knows it, too.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import torch
from ray import cloudpickle
from ray.exceptions import RayTaskError
from ray.tune.execution.placement_groups import resource_dict_to_pg_factory
from ray.tune.experiment import Trial

from orchestrator.search.sweep_searcher import Size, SweepSearcher
from orchestrator.search.trial_plan import TrialPlan, describe
from orchestrator.spec.sections import Resources
from orchestrator.trials.promotion import Promotion

MOST_IN_WORDS = 16


class SharedGpus(Promotion):
    """Promotion that also sees to it that trials have room on their GPUs.

    Tune asks a scheduler for nothing where a trial is added or queued again, but tells it before the trial is
    counted among those that wait for its resources: the one moment in which they can be changed.
    """

    def __init__(self, searcher: SweepSearcher, resources: Resources, say: Callable[[str], None]) -> None:
        super().__init__(searcher)
        self._resources, self._say = resources, say

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A trial begun before a resume gets what the present spec says, too."""
        super().on_trial_add(tune_controller, trial)
        if trial.status not in (Trial.PENDING, Trial.PAUSED):
            return
        share = self._resources.share
        if share and self._searcher.shares:
            share = max(share, self._searcher.shares.get(_size(trial), 0.0))
        self._give(trial, share)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Of one that is about to be queued again, or has been given up and runs still."""
        super().on_trial_error(tune_controller, trial)
        share = _share(trial)
        if trial.status == Trial.RUNNING or not 0 < share < 1 or not _ran_out_of_memory(trial):
            return
        size, shares = _size(trial), self._searcher.shares
        shares[size] = larger = max(min(1.0, 2 * share), shares.get(size, 0.0))
        self._give(trial, larger)
        self._say(
            f"{describe(TrialPlan.from_config(trial.config))} ran out of memory on {_words(share)} of a GPU:"
            f" models of its size get {_words(larger)} from now on"
        )

    def _give(self, trial: Trial, share: float) -> None:
        reserved = resource_dict_to_pg_factory(request(self._resources, share))
        if reserved != trial.placement_group_factory:
            trial.update_resources(reserved)


def request(resources: Resources, share: float | None = None) -> dict[str, float]:
    """What Tune reserves for a trial, by Ray's names; `share` of a GPU in the place of what the spec says."""
    gpus = resources.share if share is None else share
    return {"cpu": resources.cpus, "gpu": gpus, **resources.kind}


def _share(trial: Trial) -> float:
    reserved = trial.placement_group_factory
    assert reserved is not None  # Tune makes it before anything else
    return float(reserved.required_resources.get("GPU", 0.0))


def _size(trial: Trial) -> Size:
    """What a trial's memory depends on."""
    variant = TrialPlan.from_config(trial.config).build()
    return variant.sizes, variant.decoder_label, variant.batch_size


def _ran_out_of_memory(trial: Trial) -> bool:
    """Whether that was its latest error, which Tune has just written down."""
    try:
        with open(trial.pickled_error_file or "", "rb") as file:
            error = cloudpickle.load(file)
    except OSError:
        return False
    return isinstance(error, RayTaskError) and isinstance(error.cause, torch.OutOfMemoryError)


def _words(share: float) -> str:
    """Of a GPU, such as 1/4."""
    return "a whole one" if share == 1 else str(Fraction(share).limit_denominator(MOST_IN_WORDS))
