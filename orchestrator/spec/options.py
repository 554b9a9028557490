"""Options over a spec's file: which wins, and where each value came from."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.spec.budget import CAPS
from orchestrator.spec.errors import KeyPath, SpecError
from orchestrator.spec.file import SpecFile

_PLACES: dict[str, KeyPath] = {
    **{option: ("resources", option) for option in ("cpus", "gpus")},
    **{option: ("budget", option) for option in CAPS},
    **{option: ("search", option) for option in ("objective", "sampler", "kl_floor")},
}
"""Options whose key stands in a section."""


@dataclass(frozen=True)
class SpecSource:
    """The data of a spec with the file's line or the option of each value."""

    data: dict[str, Any]
    file: SpecFile
    flags: Mapping[KeyPath, str]

    def where(self, path: KeyPath) -> str:
        """ "--trials" or "sweep.yaml:7" for the key or the nearest one above it; else the file's name."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.flags:
                return self.flags[path[:length]]
            if path[:length] in self.file.lines:
                return f"{self.file.name}:{self.file.lines[path[:length]]}"
        return self.file.name

    def line(self, path: KeyPath) -> int:
        """The file's line of the key or the nearest one above it; 0 where there is none."""
        known = (self.file.lines.get(path[:length]) for length in range(len(path), 0, -1))
        return next((line for line in known if line is not None), 0)


def with_options(file: SpecFile, options: Mapping[str, Any]) -> SpecSource:
    """Options over the file's values; None and an empty list are options that are not given.

    `variants` chooses among the file's variants and keeps what the file says of them. `set`, a list of
    KNOB=VALUE, fixes knobs for all variants, whatever the file says of them in any place.

    Raises:
        SpecError: `set` is not KNOB=VALUE, or the value not of the knob's type.
    """
    lines = dict(file.lines)
    data = copy.deepcopy(file.data)
    listed = data.get("variants")
    if isinstance(listed, list):  # a problem of a variant is found by its name
        for index, name in enumerate(listed):
            lines["variants", str(name)] = lines["variants", index]
    flags: dict[KeyPath, str] = {}
    for option, value in given(options).items():
        flag = flag_of(option)
        if option == "set":
            for text in value:
                knob = _fix(data, text)
                flags["knobs", knob] = f"{flag} {knob}"
            continue
        path = _PLACES.get(option, (option,))
        flags[path] = flag
        _put(data, path, _chosen(value, listed) if option == "variants" else value)
    return SpecSource(data, SpecFile(file.name, file.data, lines), flags)


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are given: neither None nor a repeatable one without a value."""
    return {option: value for option, value in options.items() if value is not None and value not in ([], ())}


def flag_of(option: str) -> str:
    """An option as it stands on the command line."""
    return "--" + option.replace("_", "-")


def _put(data: dict[str, Any], path: KeyPath, value: Any) -> None:
    for key in path[:-1]:
        below = data.setdefault(str(key), {})
        if not isinstance(below, dict):
            return  # the file is wrong here, and says so
        data = below
    data[str(path[-1])] = value


def _chosen(names: Any, listed: Any) -> Any:
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else names
    if isinstance(listed, dict) and isinstance(names, list) and len(set(names)) == len(names):
        return {name: listed.get(name) for name in names}
    return names


def _fix(data: dict[str, Any], text: str) -> str:
    """Puts `KNOB=VALUE` over all that the file says of the knob; its name."""
    from orchestrator.spec.overrides import parse_value  # brings torch
    from trainables.parts.part import KnobError

    knob, equals, value = (part.strip() for part in text.partition("="))
    if not knob or not equals or not value:
        raise SpecError(f"--set: must be KNOB=VALUE, got {text!r}")
    variants = data.get("variants")
    below = variants.values() if isinstance(variants, dict) else ()
    for place in (data, *below):
        for kind in ("knobs", "ranges"):
            if isinstance(place, dict) and isinstance(place.get(kind), dict):
                place[kind].pop(knob, None)
    try:
        _put(data, ("knobs", knob), parse_value(knob, value))
    except KnobError as error:
        raise SpecError(f"--set {knob}: {error}") from None
    return knob
