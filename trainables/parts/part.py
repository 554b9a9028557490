"""Parts and knobs.

A variant is a tree of parts, each a frozen dataclass that is configuration and builder at once. A
knob is a field of one of them, addressed by the field's name alone: `cycles`, `word_keep_rate`. A
slot that has alternatives is a knob too: `decoder=dilated` puts another decoder into the slot.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from trainables.common.hints import hint

NOT_A_KNOB = {"knob": False}


class KnobError(ValueError):
    """A knob that does not exist, or a value that it cannot take."""


class Part:
    """Base of all parts. Naming a subclass (`name="lstm"`) makes it an alternative of its family."""

    part_name: ClassVar[str] = ""
    alternatives: ClassVar[dict[str, type[Part]]] = {}

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if Part in cls.__bases__:
            cls.alternatives = {}
        if name:
            cls.part_name = name
            cls.alternatives[name] = cls

    def knobs(self) -> dict[str, Any]:
        """Every knob below this part with its present value, in the order of the fields."""
        found: dict[str, Any] = {}
        for field in _knob_fields(self):
            value = getattr(self, field.name)
            entries = {field.name: value}
            if isinstance(value, Part):
                entries = {field.name: value.part_name} if value.alternatives else {}
                entries |= value.knobs()
            twice = entries.keys() & found.keys()
            assert not twice, f"knob {twice} stands in two parts of {type(self).__name__}"
            found |= entries
        return found

    def slots(self) -> dict[str, dict[str, type[Part]]]:
        """The knobs that choose a part, each with its alternatives by name."""
        found: dict[str, dict[str, type[Part]]] = {}
        for field in _knob_fields(self):
            part = getattr(self, field.name)
            if isinstance(part, Part):
                found |= ({field.name: part.alternatives} if part.alternatives else {}) | part.slots()
        return found

    def with_knobs(self, values: Mapping[str, Any]) -> Self:
        """A copy with some knobs set; slots are filled first, so their new parts' knobs can be set too.

        A new part takes over what the old one had other than by default, where it has that knob as well.

        Raises:
            KnobError: for an unknown knob (naming the nearest), a wrong type or a value out of range.
        """
        filled = self._fill_slots(values)
        known = filled.knobs()
        for knob in values:
            if knob not in known:
                raise KnobError(f"no knob {knob!r}; {hint(knob, known)}")
        return filled._set_values(values)

    def _fill_slots(self, values: Mapping[str, Any]) -> Self:
        changes: dict[str, Any] = {}
        for field in _knob_fields(self):
            part = getattr(self, field.name)
            if not isinstance(part, Part):
                continue
            choice = values.get(field.name, part.part_name)
            if part.alternatives and choice != part.part_name:
                if not isinstance(choice, str) or choice not in part.alternatives:
                    raise KnobError(
                        f"{field.name} must be one of {', '.join(part.alternatives)}, got {choice!r}"
                    )
                part = _in_place_of(part, part.alternatives[choice]())
            changes[field.name] = part._fill_slots(values)
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]

    def _set_values(self, values: Mapping[str, Any]) -> Self:
        types = _hints(type(self))  # type: ignore[arg-type]
        changes: dict[str, Any] = {}
        for field in _knob_fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Part):
                changes[field.name] = value._set_values(values)
            elif field.name in values:
                changes[field.name] = _checked(field.name, types[field.name], values[field.name])
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]


def parse_knob(part: Part, knob: str, text: str) -> Any:
    """The value that `text` (from a command line) stands for, in the knob's own type.

    Raises:
        KnobError: when the knob is known and the text is not of its type.
    """
    example = part.knobs().get(knob, text)
    kind = type(example)
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        raise KnobError(f"{knob} must be of type {kind.__name__}, got {text!r}") from None


def require(condition: bool, knob: str, rule: str, value: object) -> None:
    """Raises KnobError with the rule and the value received unless the condition holds."""
    if not condition:
        raise KnobError(f"{knob} must be {rule}, got {value!r}")


@functools.cache
def _hints(of: type[Part]) -> dict[str, Any]:
    """The types of a part's fields: texts that are evaluated, and a search asks for them with every trial."""
    return typing.get_type_hints(of)


def _in_place_of(old: Part, new: Part) -> Part:
    """`new` with what `old` has set other than by default."""
    usual, known = type(old)().knobs(), new.knobs()
    return new._set_values(
        {knob: value for knob, value in old.knobs().items() if value != usual[knob] and knob in known}
    )


def _knob_fields(part: Part) -> list[dataclasses.Field[Any]]:
    fields = dataclasses.fields(part)  # type: ignore[arg-type]
    return [field for field in fields if field.metadata.get("knob", True)]


def _checked(knob: str, kind: type, value: Any) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise KnobError(f"{knob} must be of type {kind.__name__}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise KnobError(f"{knob} must be finite, got {value!r}")
    return value
