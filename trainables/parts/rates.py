"""The rate term of the training objective: one formula for annealing, β, free bits and a KL target.

Shape suffixes: B sentences of a batch, G groups of latent units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from trainables.parts.part import Part, require
from trainables.parts.schedules import Constant, Progress, Schedule


@dataclass(frozen=True, kw_only=True)
class Rate(Part):
    """weight(t) · | Σ_g max(KL_g, free_bits / G) − kl_target |, in nats per sentence.

    With the defaults this is the KL of the ELBO. `kl_target` is the C of Prokhorov et al. 2019. `free_bits`
    is λ, shared out evenly among the G groups. With `free_bits_of` "batch" the floor holds for a group's
    mean over the batch (Kingma et al. 2016), with "sentence" for every sentence by itself (Li et al. 2019,
    whose mask has the same gradient).
    """

    schedule: Schedule = field(default_factory=Constant)
    kl_target: float = 0.0
    free_bits: float = 0.0
    free_bits_of: str = "batch"

    floors: ClassVar[dict[str, Callable[[Tensor, float], Tensor]]] = {
        "batch": lambda kl_BG, floor: kl_BG.mean(0).clamp(min=floor),
        "sentence": lambda kl_BG, floor: kl_BG.clamp(min=floor).mean(0),
    }

    def __post_init__(self) -> None:
        require(self.kl_target >= 0, "kl_target", ">= 0", self.kl_target)
        require(self.free_bits >= 0, "free_bits", ">= 0", self.free_bits)
        forms = ", ".join(self.floors)
        require(self.free_bits_of in self.floors, "free_bits_of", f"one of {forms}", self.free_bits_of)

    def __call__(self, kl_BG: Tensor, progress: Progress) -> Tensor:
        """The rate term of a batch, a scalar in nats per sentence."""
        kl_G = self.floors[self.free_bits_of](kl_BG, self.free_bits / kl_BG.shape[1])
        return self.schedule(progress) * (kl_G.sum() - self.kl_target).abs()

    @property
    def is_elbo(self) -> bool:
        """Whether this is the KL of the ELBO throughout the training."""
        return self == Rate()
