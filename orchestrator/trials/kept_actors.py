"""Actors that are kept while the search has nothing for them, so that the next trials need not wait for new
ones.

Tune keeps one. Where several trials end before more are asked for, as between rounds of fresh seeds, it ends
the other actors, and each new one takes five seconds of a core to import torch and Ray Tune.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial

from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.spec.sections import Resources
from orchestrator.trials.shared_gpus import SharedGpus
from orchestrator.trials.whole_files import WholeFiles


class KeptActors(SharedGpus):
    """See the module. What is kept reserves its resources: on a cluster its node would not be given back, and
    of a GPU a larger share would not come free, so there `kept` must be 0."""

    def __init__(
        self, searcher: SweepSearcher, resources: Resources, say: Callable[[str], None], kept: int
    ) -> None:
        super().__init__(searcher, resources, say)
        self._kept = kept

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Before Tune's cache has anything to throw away, or a snapshot has been taken."""
        super().on_trial_add(tune_controller, trial)
        controller = tune_controller._tune_controller
        WholeFiles.take_over(controller._storage)
        if self._kept:
            cache = controller._actor_cache
            cache.increase_max(trial.placement_group_factory, self._kept)
            self._kept = 0
