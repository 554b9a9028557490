"""Training the encoder as an autoencoder's first (Li et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass

from trainables.parts import Part, require


@dataclass(frozen=True, kw_only=True)
class Pretraining(Part):
    """For `pretraining_epochs` the model is an autoencoder: z is the posterior's mean, and the KL counts
    nothing. Then the decoder is set to new weights if `reset_decoder`, and the training proper begins,
    with its schedule.
    """

    pretraining_epochs: int = 0
    reset_decoder: bool = True

    def __post_init__(self) -> None:
        require(self.pretraining_epochs >= 0, "pretraining_epochs", ">= 0", self.pretraining_epochs)
