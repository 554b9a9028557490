"""The sections of a spec: how it is searched, what each trial reserves, what is said of one variant.

A key with nothing below it is an empty section.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    field_validator,
)

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)
EMPTY = BeforeValidator(lambda value: {} if value is None else value)
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Entries = Annotated[dict[str, Any], EMPTY]

AUTO_GPUS = "auto"


def _gpus(value: object) -> object:
    """`auto` as None, and the text of an option as a number."""
    if value == AUTO_GPUS:
        return None
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(f"resources.gpus must be {AUTO_GPUS} or a number >= 0, got {value!r}") from None


Gpus = Annotated[
    Amount | None,
    BeforeValidator(_gpus),
    PlainSerializer(lambda value: AUTO_GPUS if value is None else value),
]

ACCELERATOR = "accelerator_type:"
"""Ray's prefix for the kind of a node's GPUs."""
AUTO_SAMPLER = "auto"
SAMPLERS = (AUTO_SAMPLER, "gp", "tpe", "nsga2", "random", "grid")
_IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class Halving(BaseModel):
    """Successive halving: searched trials pause at rungs, and only the best of them go on.

    Attributes:
        eta: one of so many goes on from each rung.
        first: epochs behind the end of the annealing of the first rung.
        rungs: how many there are; each has η times the epochs of the one before.
        elbo_share: the share of a trial's rank that is that by NLL + KL; the rest is that by the fronts of
            NLL and KL.
    """

    model_config = _STRICT

    eta: Annotated[int, Field(ge=2)] = 3
    first: Annotated[int, Field(ge=1)] = 4
    rungs: Annotated[int, Field(ge=1)] = 2
    elbo_share: Annotated[float, Field(ge=0, le=1)] = 0.5


class Search(BaseModel):
    """How configurations are found.

    Attributes:
        objective: "frontier", reconstruction NLL and KL; or "elbo", their sum alone.
        sampler: one of `SAMPLERS`, or the import path of an Optuna sampler, "module:Class".
        kl_floor: the least KL of a feasible trial, nats per sentence.
        equal: what is equal for all variants: "compute", so that one whose trials cost more has fewer of
            them; "trials"; or "nothing", so that what all of them would have had goes to the variants whose
            frontier still moves.
        collapse_patience: epochs for which the latent variable must have been dead, with the KL weight
            whole, for a searched trial to be stopped; None never stops one.
        stop_dominated: whether a searched trial is stopped once nothing that its variant's earlier trials
            still changed would bring it to their frontier.
        halving: where searched trials pause, and how many go on; None trains all to their end.
        warm_start: names of earlier sweeps whose trials the search begins with.
        margin: by how many nats per sentence its NLL + KL may lie above the baseline's; negative asks for a
            gain.
    """

    model_config = _STRICT

    objective: Literal["frontier", "elbo"] = "frontier"
    sampler: str = AUTO_SAMPLER
    kl_floor: Amount = 0.5
    margin: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    warm_start: tuple[str, ...] = Field(default=(), strict=False)
    equal: Literal["compute", "trials", "nothing"] = "compute"
    collapse_patience: Annotated[int, Field(ge=1)] | None = None
    stop_dominated: bool = False
    halving: Halving | None = None

    @field_validator("sampler")
    @classmethod
    def _known_sampler(cls, value: str) -> str:
        if value not in SAMPLERS and not _IMPORT_PATH.fullmatch(value):
            rule = f"one of {', '.join(SAMPLERS)}, or an import path such as optuna.samplers:QMCSampler"
            raise ValueError(f"search.sampler must be {rule}, got {value!r}")
        return value


class Resources(BaseModel):
    """What each trial reserves on its node; a fraction of a GPU lets trials share one.

    Attributes:
        gpus: None, "auto" in a spec, until it has been settled by what there is and by what is measured.
        accelerator: the kind of GPU, as Ray names it ("T4", "A10G", "A100"); None takes any, so that a large
            trial may land on a small one.
    """

    model_config = _STRICT

    cpus: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1
    gpus: Gpus = None
    accelerator: Annotated[str, Field(pattern=r"^\w[\w.-]*$")] | None = None

    @property
    def share(self) -> float:
        """GPUs of a trial; 0 as long as they have not been settled."""
        return self.gpus or 0.0

    @property
    def kind(self) -> dict[str, float]:
        """What Ray calls a node with that kind of GPU; the amount only has to be there."""
        return {} if self.accelerator is None else {f"{ACCELERATOR}{self.accelerator}": 0.001}

    @field_validator("gpus")
    @classmethod
    def _whole_gpus(cls, value: float | None) -> float | None:
        if value is not None and value > 1 and value != int(value):
            raise ValueError(f"resources.gpus must be whole above 1, got {value!r}")
        return value

    @field_validator("accelerator")
    @classmethod
    def _of_a_gpu(cls, value: str | None, others: ValidationInfo) -> str | None:
        if value is not None and others.data.get("gpus") == 0:
            raise ValueError(f"resources.accelerator must come with gpus above 0, got {value!r} without")
        return value


class Overrides(BaseModel):
    """Fixed knobs and search ranges of one variant."""

    model_config = _STRICT

    knobs: Entries = {}
    ranges: Entries = {}
