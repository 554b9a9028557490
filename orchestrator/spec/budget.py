"""The budget of a spec: what a sweep may cost at most, over all of its resumes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from orchestrator.spec.errors import shown

CAPS = ("max_tokens", "max_hours", "max_gpu_hours", "max_cost", "price", "deadline")
"""The keys that are options, too, and may change on a resume."""
Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)] | None


class Budget(BaseModel):
    """Caps; what is None is not limited.

    Attributes:
        max_tokens: words predicted in training, by all trials.
        max_hours: wall-clock hours in which trials run.
        max_gpu_hours: hours × the GPUs that running trials reserve.
        max_cost: in the currency of `price`.
        price: of an hour of a GPU, or where trials reserve none of a CPU.
        deadline: a date and time of ISO 8601, local where it names no offset.
        at_cap: whether the running trials finish, and the sweep with them; or it is interrupted, and a resume
            goes on from their latest checkpoints.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    max_tokens: Limit = None
    max_hours: Limit = None
    max_gpu_hours: Limit = None
    price: Limit = None
    max_cost: Limit = None
    deadline: str | None = None
    at_cap: Literal["finish", "checkpoint"] = "finish"

    @property
    def deadline_at(self) -> datetime | None:
        """The deadline with its offset."""
        return None if self.deadline is None else datetime.fromisoformat(self.deadline).astimezone()

    @field_validator("deadline")
    @classmethod
    def _with_offset(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            return datetime.fromisoformat(value).astimezone().isoformat()
        except (ValueError, OverflowError):
            rule = "a date and time such as 2026-12-24T18:00"
            raise ValueError(f"budget.deadline must be {rule}, got {shown(value)}") from None

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.max_cost is not None and self.price is None:
            raise ValueError("budget.max_cost must come with a budget.price, got none")
        return self
