"""Training the encoder as an autoencoder's first (Li et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass

from trainables.parts.part import Part, require


@dataclass(frozen=True, kw_only=True)
class Pretraining(Part):
    """For `pretraining_epochs` the weight of the KL is 0, z being sampled as ever. Then the decoder is set to
    new weights if `reset_decoder`, and the training proper begins, with its schedule.
    """

    pretraining_epochs: int = 0
    reset_decoder: bool = True

    def __post_init__(self) -> None:
        require(self.pretraining_epochs >= 0, "pretraining_epochs", ">= 0", self.pretraining_epochs)

    def check(self, epochs: int) -> None:
        """Raises KnobError if nothing is left of a training of so many epochs."""
        most = self.pretraining_epochs
        require(most == 0 or most < epochs, "pretraining_epochs", f"below the {epochs} epochs", most)
