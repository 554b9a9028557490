"""What a sweep has to say to MLflow: entries, a line of the outbox each. Knows no MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from orchestrator.tracking.server.limits import LONGEST_PARAM, LONGEST_TAG, name_problem, shortened

RunStatus = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]

SWEEP = ""
"""The parent run's key among the runs of a sweep; the others are trial ids."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A run begins: how it is created if MLflow does not have it yet."""

    run: str
    at_ms: int
    name: str
    tags: Mapping[str, str]
    kind: Literal["opening"] = "opening"


@dataclass(frozen=True, slots=True)
class Metrics:
    """Values of one step. The time never changes, so what is sent twice is stored once."""

    run: str
    at_ms: int
    step: int
    values: Mapping[str, float]
    kind: Literal["metrics"] = "metrics"


@dataclass(frozen=True, slots=True)
class Params:
    """Params of a run. In MLflow they never change, so those that it has stay."""

    run: str
    values: Mapping[str, str]
    kind: Literal["params"] = "params"


@dataclass(frozen=True, slots=True)
class Tags:
    """Tags of a run; the last value holds."""

    run: str
    values: Mapping[str, str]
    kind: Literal["tags"] = "tags"


@dataclass(frozen=True, slots=True)
class Change:
    """A run's new status."""

    run: str
    at_ms: int
    status: RunStatus
    kind: Literal["change"] = "change"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file for a run; `path` is relative to the sweep's folder, or absolute."""

    run: str
    path: str
    kind: Literal["artifact"] = "artifact"


@dataclass(frozen=True, slots=True)
class Input:
    """The text that a run has read: `source` as a spec says it, `profile` its sizes as JSON."""

    run: str
    name: str
    digest: str
    source: str
    profile: str
    kind: Literal["input"] = "input"


@dataclass(frozen=True, slots=True)
class View:
    """A tag of the experiment: the comparison that the user interface shows for a sweep."""

    run: str
    name: str
    value: str
    kind: Literal["view"] = "view"


@dataclass(frozen=True, slots=True)
class Note:
    """Markdown above a run, with placeholders for ids (`placeholders`)."""

    run: str
    text: str
    kind: Literal["note"] = "note"


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A trial's model, saved in a folder of the sweep's: logged beside its run and registered."""

    run: str
    folder: str
    name: str
    registered_name: str
    tags: Mapping[str, str]
    kind: Literal["model"] = "model"


@dataclass(frozen=True, slots=True)
class Aliases:
    """The registered model's aliases: alias → trial id. Those of the sweep's that are not there go."""

    run: str
    registered_name: str
    trials: Mapping[str, str]
    kind: Literal["aliases"] = "aliases"


Entry = Opening | Metrics | Params | Tags | Change | Artifact | Input | View | Note | SavedModel | Aliases

_FORMAT: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])


def to_line(entry: Entry) -> bytes:
    """The entry as JSON in a line of its own. Floats come back equal."""
    return _FORMAT.dump_json(entry) + b"\n"


def from_line(line: bytes) -> Entry:
    """The inverse of `to_line`.

    Raises:
        ValueError: it is no entry.
    """
    return _FORMAT.validate_json(line)


def size(entry: Entry) -> tuple[int, int]:
    """Metric points in the entry, and 1 for any other."""
    return (len(entry.values), 0) if isinstance(entry, Metrics) else (0, 1)


def param_entries(run: str, values: Mapping[str, str]) -> list[Entry]:
    """Params cut to what MLflow holds; a tag names those that had to be shortened.

    Raises:
        ValueError: for a name that MLflow would refuse.
    """
    for name in values:
        if problem := name_problem(name):
            raise ValueError(f"a param's {problem}")
    fitting = {name: shortened(_clean(value), LONGEST_PARAM) for name, value in values.items()}
    long = [name for name, value in values.items() if len(value) > LONGEST_PARAM]
    entries: list[Entry] = [Params(run, fitting)] if fitting else []
    return [*entries, *tag_entries(run, {"orchestrator.shortened": ", ".join(long)} if long else {})]


def tag_entries(run: str, values: Mapping[str, str]) -> list[Entry]:
    """Tags cut to what MLflow holds, visibly."""
    fitting = {name: shortened(_clean(value), LONGEST_TAG) for name, value in values.items()}
    return [Tags(run, fitting)] if fitting else []


def _clean(text: str) -> str:
    """The text with a question mark for what has no UTF-8, such as an undecodable byte of a file's name."""
    return text.encode("utf-8", "replace").decode("utf-8")
