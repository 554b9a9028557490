"""What can be wrong with a spec, in the words of the user: the rule, the value received, the key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from trainables.common.hints import hint

KeyPath = tuple[str | int, ...]

MOST_PROBLEMS = 10
_LONGEST_VALUE = 80
_QUOTES = "; put text in quotes"
_BOOLEANS = "; YAML reads yes, no, on and off as booleans: put text in quotes"
_RULES = {
    "int_type": "an integer",
    "float_type": "a number",
    "string_type": "text",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "greater_than_equal": ">= {ge}",
    "greater_than": "> {gt:g}",
    "less_than_equal": "<= {le}",
    "less_than": "< {lt}",
    "finite_number": "finite",
}


class SpecError(ValueError):
    """A sweep that cannot be run as it is asked for: one problem a line, each with its place."""


@dataclass(frozen=True)
class Problem:
    """A rule that a spec breaks, and the key where it does."""

    path: KeyPath
    message: str


class ProblemsError(ValueError):
    """Several problems at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(dict.fromkeys(problems))
        super().__init__("; ".join(problem.message for problem in self.problems))


def problems_of(error: ValidationError, known_keys: Callable[[KeyPath], Iterable[str]]) -> list[Problem]:
    """Pydantic's errors as problems; `known_keys` names the keys that a mapping of the spec may have."""
    found: list[Problem] = []
    for entry in error.errors(include_url=False):
        cause = entry.get("ctx", {}).get("error")
        path: KeyPath = tuple(key for key in entry["loc"] if key != "[key]")
        if isinstance(cause, ProblemsError):
            found.extend(cause.problems)
        elif cause is not None:
            found.append(Problem(path, str(cause)))
        elif entry["type"] == "extra_forbidden":
            found.append(
                Problem(path, f"unknown key {path[-1]!r}; {hint(str(path[-1]), known_keys(path[:-1]))}")
            )
        else:
            found.append(Problem(path, f"{dotted(path)} {_broken_rule(dict(entry))}"))
    return found


def dotted(path: KeyPath) -> str:
    """A key with the keys above it: "resources.cpus"."""
    return ".".join(str(key) for key in path)


def shown(value: Any) -> str:
    """A value as it may stand in a message."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def lines(problems: Iterable[Problem], where: Callable[[KeyPath], str]) -> str:
    """One line a problem, its place in front; at most `MOST_PROBLEMS`, and how many there are beyond."""
    texts = list(_placed(problems, where))
    rest = len(texts) - MOST_PROBLEMS
    return "\n".join([*texts[:MOST_PROBLEMS], *([f"and {rest} more"] if rest > 0 else [])])


def _broken_rule(entry: Mapping[str, Any]) -> str:
    kind, value = entry["type"], entry["input"]
    rule = _RULES.get(kind)
    text = f"must be {rule.format(**entry.get('ctx', {}))}" if rule else entry["msg"].lower()
    notes = {bool: _BOOLEANS, int: _QUOTES, float: _QUOTES} if kind == "string_type" else {}
    return f"{text}, got {shown(value)}{notes.get(type(value), '')}"


def _placed(problems: Iterable[Problem], where: Callable[[KeyPath], str]) -> Iterator[str]:
    for problem in problems:
        place = where(problem.path)
        yield f"{place}: {problem.message}" if place else problem.message
