"""How many different configurations a search can find, and one that it has not found yet.

A training with the same knobs and the same seed is the same training: it is not run twice.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from itertools import product
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

_ALIKE = 0.01
Configuration = tuple[tuple[str, Any], ...]


def configuration(params: Mapping[str, Any]) -> Configuration:
    """The searched knobs as a value that can be compared and remembered."""
    return tuple(sorted(params.items()))


def number_of(distributions: Mapping[str, BaseDistribution]) -> float:
    """How many configurations there are; infinitely many where a knob is continuous."""
    return math.prod(_values(found) for found in distributions.values())


def unseen(
    distributions: Mapping[str, BaseDistribution], seen: Collection[Configuration]
) -> Mapping[str, Any] | None:
    """The first configuration, in the order of the ranges, that is not among those; None if all are.

    For finitely many configurations (`number_of`).
    """
    return next((found for found in configurations(distributions) if configuration(found) not in seen), None)


def configurations(distributions: Mapping[str, BaseDistribution]) -> Iterator[Mapping[str, Any]]:
    """All of them, in the order of the ranges; for finitely many."""
    for values in product(*map(_listed, distributions.values())):
        yield dict(zip(distributions, values, strict=True))


def inside(params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> bool:
    """Whether these are values of just these ranges."""
    try:
        optuna.trial.create_trial(params=dict(params), distributions=dict(distributions), value=0.0)
    except ValueError:
        return False
    return True


def alike(one: Configuration, other: Configuration, distributions: Mapping[str, BaseDistribution]) -> bool:
    """Whether no knob differs by more than a hundredth of its range, on its own scale, nor any choice."""
    pairs = zip(one, other, strict=True)
    return all(_apart(distributions[knob], value, also) < _ALIKE for (knob, value), (_, also) in pairs)


def _apart(found: BaseDistribution, one: Any, other: Any) -> float:
    """As a share of the range; 1 for different choices."""
    match found:
        case FloatDistribution(log=True) | IntDistribution(log=True) if found.low < found.high:
            return abs(math.log(one / other)) / math.log(found.high / found.low)
        case FloatDistribution() | IntDistribution() if found.low < found.high:
            return float(abs(one - other) / (found.high - found.low))
    return float(one != other)


def middle(found: BaseDistribution) -> Any:
    """The value in the middle of a range, on its own scale, or the first choice."""
    match found:
        case CategoricalDistribution():
            return found.choices[0]
        case IntDistribution():
            return found.low + (found.high - found.low) // found.step // 2 * found.step
        case FloatDistribution(log=True):
            return math.sqrt(found.low * found.high)
        case FloatDistribution():
            return (found.low + found.high) / 2


def largest(found: BaseDistribution) -> Any:
    """The upper end of a range; of choices the greatest number, or the last."""
    if isinstance(found, CategoricalDistribution):
        numbers = [choice for choice in found.choices if isinstance(choice, int | float)]
        return max(numbers) if len(numbers) == len(found.choices) else found.choices[-1]
    assert isinstance(found, IntDistribution | FloatDistribution)
    return found.high


def _values(found: BaseDistribution) -> float:
    match found:
        case CategoricalDistribution():
            return len(found.choices)
        case IntDistribution() | FloatDistribution(step=float()):
            return 1 + round((found.high - found.low) / (found.step or 1))
        case _:
            return 1 if found.single() else math.inf


def _listed(found: BaseDistribution) -> Iterator[Any]:
    match found:
        case CategoricalDistribution():
            yield from found.choices
        case IntDistribution():
            yield from range(found.low, found.high + 1, found.step)
        case FloatDistribution():
            step = found.step or 0.0
            yield from (min(found.low + index * step, found.high) for index in range(int(_values(found))))
