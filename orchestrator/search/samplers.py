"""What proposes configurations: Optuna's samplers by name, or any of them by its import path."""

from __future__ import annotations

import importlib
import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler

from orchestrator.search.configurations import configurations, inside, number_of
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sections import AUTO_SAMPLER, SAMPLERS

GP_MOST_TRIALS = 150
"""A Gaussian process costs the third power of its trials: beyond so many TPE searches."""


@dataclass(frozen=True)
class Task:
    """What a sampler is made for: a seed, the searched knobs, how many trials there will be, and how many
    objectives they have."""

    seed: int
    distributions: Mapping[str, BaseDistribution]
    trials: int
    objectives: int = 1

    @property
    def startup(self) -> int:
        """Trials at random before a model is believed."""
        return min(10, max(3, self.trials // 3))

    @property
    def numeric(self) -> bool:
        """Whether no knob is a choice among names."""
        return not any(isinstance(found, CategoricalDistribution) for found in self.distributions.values())


def build(name: str, task: Task) -> BaseSampler:
    """The sampler of that name, seeded.

    Raises:
        SpecError: there is none of that import path, or it cannot search these knobs.
    """
    with warnings.catch_warnings():
        # multivariate and group of TPE are marked experimental; this file pins their meaning.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _BUILDERS[name](task) if name in _BUILDERS else _imported(name, task)


def first_points(name: str, task: Task, default: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Configurations to try before the sampler is asked: the variant's own default, which is its paper's,
    where it lies in the ranges; of a grid all."""
    if name == "grid":
        return list(islice(configurations(task.distributions), task.trials))
    return [default] if inside(default, task.distributions) else []


def _auto(task: Task) -> BaseSampler:
    return (_gp if task.numeric and task.trials <= GP_MOST_TRIALS else _tpe)(task)


def _gp(task: Task) -> BaseSampler:
    """Expected hypervolume improvement under the constraints (log EHVI)."""
    return optuna.samplers.GPSampler(seed=task.seed, n_startup_trials=task.startup)


def _tpe(task: Task) -> BaseSampler:
    return optuna.samplers.TPESampler(
        seed=task.seed, n_startup_trials=task.startup, multivariate=True, group=True, constant_liar=True
    )


def _nsga2(task: Task) -> BaseSampler:
    population = min(50, max(4, task.trials // 4))
    return optuna.samplers.NSGAIISampler(seed=task.seed, population_size=population)


def _random(task: Task) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=task.seed)


def _grid(task: Task) -> BaseSampler:
    """All configurations are queued before it is asked (`first_points`), so it is asked for none."""
    for knob, found in task.distributions.items():
        if number_of({knob: found}) == math.inf:
            raise SpecError(f"search.sampler: grid needs choices or a step for each knob, {knob} has neither")
    return _random(task)


_BUILDERS: Mapping[str, Callable[[Task], BaseSampler]] = {
    AUTO_SAMPLER: _auto, "gp": _gp, "tpe": _tpe, "nsga2": _nsga2, "random": _random, "grid": _grid,
}  # fmt: skip
_TRIED = 3
_RULE = f"one of {', '.join(SAMPLERS)}, or MODULE:CLASS"


def _imported(path: str, task: Task) -> BaseSampler:
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SpecError(f"search.sampler: must be {_RULE}, got {path!r}: {error}") from None
    if not (inspect.isclass(found) and issubclass(found, BaseSampler)):
        raise SpecError(f"search.sampler: must be {_RULE}, got {path!r}, which is no Optuna sampler")
    takes = inspect.signature(found).parameters
    seed = {"seed": task.seed} if "seed" in takes else {}
    try:
        sampler: BaseSampler = found(**seed)
    except (TypeError, ImportError) as error:
        raise SpecError(f"search.sampler: {path} cannot be made from a seed alone: {error}") from None
    _try(path, found(**seed), task)
    return sampler


def _try(path: str, sampler: BaseSampler, task: Task) -> None:
    """Asks and tells it a little, on a study that nobody keeps: some cannot do several objectives, or not
    these knobs, and would say so only in the middle of a sweep."""
    study = optuna.create_study(sampler=sampler, directions=["minimize"] * task.objectives)
    try:
        for number in range(_TRIED):
            trial = study.ask(dict(task.distributions))
            study.tell(trial, [float(number)] * task.objectives)
    except Exception as error:  # whatever a sampler of others' raises
        raise SpecError(f"search.sampler: {path} cannot search this: {error}") from None
