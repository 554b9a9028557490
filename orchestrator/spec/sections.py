"""The sections of a spec: what each trial reserves, what is said of one variant.

A key with nothing below it is an empty section.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)
EMPTY = BeforeValidator(lambda value: {} if value is None else value)
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Entries = Annotated[dict[str, Any], EMPTY]


class Resources(BaseModel):
    """What each trial reserves on its node; a fraction of a GPU lets trials share one."""

    model_config = _STRICT

    cpus: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1
    gpus: Amount = 0

    @field_validator("gpus")
    @classmethod
    def _whole_gpus(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError(f"resources.gpus must be whole above 1, got {value!r}")
        return value


class Overrides(BaseModel):
    """Fixed knobs and search ranges of one variant."""

    model_config = _STRICT

    knobs: Entries = {}
    ranges: Entries = {}
