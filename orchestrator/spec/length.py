"""How long each training is: a number of epochs, or as long as validation improves."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_serializer

from orchestrator.common.wording import plural
from orchestrator.spec.errors import shown

AUTO = "auto"
_PLANNED, _MOST = 20, 100
RULE = f"{AUTO}, a number of epochs >= 1, or {{planned: …, most: …}} with 1 <= planned <= most"


class Length(BaseModel):
    """The epochs of a training.

    Attributes:
        planned: what schedules and search ranges are made for; every training has so many.
        most: when validation has to stop a training at the latest; just `planned` where they are equal.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    planned: int = Field(default=_PLANNED, ge=1)
    most: int = Field(default=_MOST, ge=1)

    @property
    def limit(self) -> int | None:
        """`most` where validation decides when a training ends, else None."""
        return self.most if self.most > self.planned else None

    def __str__(self) -> str:
        if self.limit is None:
            return plural(self.planned, "epoch")
        return f"{self.planned} to {plural(self.most, 'epoch')}"

    @classmethod
    def parse(cls, value: object) -> Self:
        """From a spec: "auto", a number, or a mapping.

        Raises:
            ValueError: stating the rule and the value.
        """
        if isinstance(value, cls):
            return value
        if value == AUTO:
            return cls()
        if isinstance(value, str) and value.isdecimal():  # an option of the command line
            value = int(value)
        numbers: dict[str, Any] = value if isinstance(value, dict) else {"planned": value, "most": value}
        whole = all(isinstance(number, int) and not isinstance(number, bool) for number in numbers.values())
        if not (whole and numbers.keys() <= {"planned", "most"} and numbers):
            raise ValueError(f"epochs must be {RULE}, got {shown(value)}")
        planned = numbers.get("planned", min(_PLANNED, numbers.get("most", _PLANNED)))
        most = numbers.get("most", max(_MOST, planned))
        if not 1 <= planned <= most:
            raise ValueError(f"epochs must be {RULE}, got {shown(value)}")
        return cls(planned=planned, most=most)

    @model_serializer
    def _short(self) -> Any:
        if self == Length():
            return AUTO
        return self.planned if self.limit is None else {"planned": self.planned, "most": self.most}
