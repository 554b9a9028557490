"""The rate term of the training objective: one formula for annealing, β, free bits and a KL target.

Shape suffixes: B sentences of a batch, G groups of latent units.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from trainables.parts import Part, require
from trainables.schedules import Constant, Progress, Schedule


@dataclass(frozen=True, kw_only=True)
class Rate(Part):
    """weight(t) · | Σ_g max(E_batch[KL_g], free_bits) − kl_target |, in nats per sentence.

    With the defaults this is the KL of the ELBO. `free_bits` is the floor of each group (Kingma et al.
    2016), `kl_target` the C of Prokhorov et al. 2019.
    """

    schedule: Schedule = field(default_factory=Constant)
    kl_target: float = 0.0
    free_bits: float = 0.0

    def __post_init__(self) -> None:
        require(self.kl_target >= 0, "kl_target", ">= 0", self.kl_target)
        require(self.free_bits >= 0, "free_bits", ">= 0", self.free_bits)

    def __call__(self, kl_BG: Tensor, progress: Progress) -> Tensor:
        """The rate term of a batch, a scalar in nats per sentence."""
        kl_G = kl_BG.mean(0).clamp(min=self.free_bits)
        return self.schedule(progress) * (kl_G.sum() - self.kl_target).abs()
