"""YAML to plain data that remembers its lines.

Stricter than YAML 1.1 where that surprises: `1e-3` is a number; `010`, `1:30` and `2026-01-01` are text; a
key may stand only once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from orchestrator.spec.errors import KeyPath, SpecError, shown

_MOST_VALUES = 10_000
_NUMBER_START = list("-+.0123456789")
_SAME_AS_YAML = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:bool")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*)\Z")
_FLOAT = re.compile(
    r"[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?\Z"
    r"|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+\Z"
    r"|[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z"
)


class _Scalars(yaml.resolver.BaseResolver):
    """Which plain scalars are numbers; shared, so that whatever is written reads back the same."""


_Scalars.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] in _SAME_AS_YAML]
    for first, pairs in yaml.resolver.Resolver.yaml_implicit_resolvers.items()
}
_Scalars.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, _NUMBER_START)
_Scalars.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, _NUMBER_START)


class _Loader(_Scalars, yaml.SafeLoader):
    pass


class _Dumper(_Scalars, yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


@dataclass(frozen=True)
class SpecFile:
    """A spec's data with the line of each key: path of keys → line, from 1."""

    name: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    lines: Mapping[KeyPath, int] = field(default_factory=dict)


def read_spec_file(path: Path) -> SpecFile:
    """Read a YAML file whose top level is a mapping; an empty file is an empty mapping.

    Raises:
        SpecError: the file cannot be read, is not UTF-8 or not YAML, or a key stands twice.
    """
    text = _read(path)
    try:
        loader = _Loader(text)
        reader = _Reader(str(path), loader)
        node = loader.get_single_node()
        data = {} if node is None else reader.value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        detail = f" ({error.context})" if error.context else ""
        raise SpecError(f"{place}: a spec must be valid YAML, got: {error.problem}{detail}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        code = int(error.character)
        raise SpecError(f"{path}:{line}: a spec must be printable text, got U+{code:04X}") from error
    except RecursionError:
        raise SpecError(f"{path}: a spec must not be nested as deeply as this one") from None
    if data is None:
        return SpecFile(str(path))
    if not isinstance(data, dict):
        raise SpecError(f"{path}:1: a spec must be a mapping of keys to values, got {shown(data)}")
    return SpecFile(str(path), data, reader.lines)


def dump(data: Mapping[str, Any]) -> str:
    """Data as YAML that `read_spec_file` reads back equal."""
    return yaml.dump(dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _read(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SpecError(f"{path}: a spec must be a file that can be read, got {error.strerror!r}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise SpecError(f"{path}:{line}: a spec must be UTF-8 text, got the byte 0x{byte:02x}") from error


class _Reader:
    """Turns YAML's nodes into data and notes where each key stands."""

    def __init__(self, name: str, loader: _Loader) -> None:
        self.name, self.loader = name, loader
        self.lines: dict[KeyPath, int] = {}
        self.values = 0

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self.values += 1
        if self.values > _MOST_VALUES:  # an alias may stand for any number of values, itself among them
            raise self._error(node, f"a spec must hold at most {_MOST_VALUES} values")
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            try:
                return self.loader.construct_object(node)
            except ValueError as error:  # such as `!!int x`
                raise self._error(node, f"a spec must be valid YAML, got: {error}") from error
        if node.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise self._error(node, f"a spec holds mappings, lists and plain values, got the tag {node.tag}")
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._mapping(node, path)

    def _mapping(self, node: yaml.Node, path: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if key_node.tag != "tag:yaml.org,2002:str":
                got = key if isinstance(key_node, yaml.ScalarNode) else f"a {key_node.id}"
                raise self._error(key_node, f"a key must be text (put it in quotes), got {got}")
            if key in data:
                first = self.lines[*path, key]
                raise self._error(key_node, f"a key may stand once, got {key!r} in line {first} already")
            self.lines[*path, key] = key_node.start_mark.line + 1
            data[key] = self.value(value_node, (*path, key))
        return data

    def _error(self, node: yaml.Node, message: str) -> SpecError:
        return SpecError(f"{self.name}:{node.start_mark.line + 1}: {message}")
