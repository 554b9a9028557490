"""A search range as it stands in a spec to an Optuna distribution.

`[low, high]` or `{low: 1, high: 64, log: true}` for a number, `{choices: [...]}` for any knob, and a plain
list of choices for a knob whose value is text or a boolean.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from orchestrator.spec.errors import KeyPath, Problem, ProblemsError, shown
from trainables.common.hints import hint
from trainables.model.variant import Variant
from trainables.parts.part import KnobError

_KEYS = ("low", "high", "log", "step", "choices")
_FORMS = "[low, high], {low: …, high: …, log: …, step: …} or {choices: […]}"


def knob_value(variant: Variant, knob: str, value: Any) -> Any:
    """The value as the variant takes it: a list of integers as text, "1-2-4"; an integer for a float as one.

    Raises:
        KnobError: a knob that the variant does not have, or a value that it does not take.
    """
    example = variant.knobs().get(knob)
    if isinstance(value, list) and value and isinstance(example, str) and all(map(_whole, value)):
        value = "-".join(str(item) for item in value)
    if isinstance(value, list | dict) and example is not None:
        raise KnobError(f"{knob} must be of type {type(example).__name__}, got {shown(value)}")
    try:
        return variant.with_knobs({knob: value}).knobs()[knob]
    except OverflowError:
        raise KnobError(f"{knob} must be finite, got {shown(value)}") from None


def distribution(variants: Sequence[Variant], knob: str, raw: Any, path: KeyPath) -> BaseDistribution:
    """The distribution that `raw` stands for.

    Args:
        variants: every one of them must take each end and each choice.
        path: where `raw` stands in the spec.

    Raises:
        ProblemsError: not a range, an empty one, or one that reaches beyond what a variant takes.
    """
    numeric = type(variants[0].knobs()[knob]) in (int, float)  # a boolean is an int, but no number
    if isinstance(raw, list):
        if not raw:
            raise _broken(path, knob, "must have a range that is not empty", raw)
        if numeric and len(raw) != 2:
            raise _broken(path, knob, f"must have a range {_FORMS}", raw)
        raw = {"low": raw[0], "high": raw[1]} if numeric else {"choices": raw}
    if not isinstance(raw, dict):
        raise _broken(path, knob, f"must have a range {_FORMS}", raw)
    for key in raw:
        if key not in _KEYS:
            raise ProblemsError(
                [Problem((*path, key), f"unknown key {key!r} of a range; {hint(key, _KEYS)}")]
            )
    if raw.keys() == {"choices"}:
        return _choices(variants, knob, raw["choices"], path)
    if "choices" in raw or not {"low", "high"} <= raw.keys():
        raise _broken(path, knob, f"must have a range {_FORMS}", raw)
    if not numeric:
        raise _broken(path, knob, "is no number: it must have a range {choices: […]}", raw)
    return _interval(variants, knob, raw, path)


def _choices(variants: Sequence[Variant], knob: str, raw: Any, path: KeyPath) -> BaseDistribution:
    if not isinstance(raw, list) or not raw:
        raise _broken(path, knob, "must have choices that are a list and not empty", raw)
    values = [_taken(variants, knob, value, path) for value in raw]
    twice = [value for index, value in enumerate(values) if value in values[:index]]
    if twice:
        raise _broken(path, knob, f"must have choices that differ, got {shown(twice[0])} twice in", raw, "")
    return CategoricalDistribution(values)


def _interval(variants: Sequence[Variant], knob: str, raw: dict[str, Any], path: KeyPath) -> BaseDistribution:
    low, high = (_taken(variants, knob, raw[end], path) for end in ("low", "high"))
    log, step = raw.get("log", False), raw.get("step")
    if low > high:
        raise _broken(path, knob, "must have a range with low <= high", [low, high])
    if not isinstance(log, bool):
        raise _broken(path, knob, "must have a range where log is true or false", log)
    if log and low <= 0:
        raise _broken(path, knob, "must have a range with low > 0 where log is true", [low, high])
    if log and step is not None:
        raise _broken(path, knob, "must have a range with log or with step, not both", raw)
    whole = isinstance(low, int)
    if step is not None:
        kinds = int if whole else (int, float)
        if not isinstance(step, kinds) or isinstance(step, bool) or not 0 < step < float("inf"):
            raise _broken(
                path, knob, f"must have a step that is {'an integer' if whole else 'a number'} > 0", step
            )
        if (Decimal(str(high)) - Decimal(str(low))) % Decimal(str(step)):
            raise _broken(path, knob, f"must have a step that divides {high} - {low} evenly", step)
    if whole:
        return IntDistribution(low, high, log=log, step=int(step or 1))
    return FloatDistribution(low, high, log=log, step=step)


def _taken(variants: Sequence[Variant], knob: str, value: Any, path: KeyPath) -> Any:
    try:
        values = [knob_value(variant, knob, value) for variant in variants]
    except KnobError as error:
        raise ProblemsError([Problem(path, str(error))]) from None
    return values[0]


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _broken(path: KeyPath, knob: str, rule: str, value: Any, got: str = ", got") -> ProblemsError:
    return ProblemsError([Problem(path, f"{knob} {rule}{got} {shown(value)}")])
