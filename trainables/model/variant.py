"""Variant: the complete description of a text VAE and of how it is trained."""

from __future__ import annotations

from dataclasses import dataclass, field

from trainables.latents.conditions import Condition, Unconditional
from trainables.latents.gaussian import Gaussian, Latent
from trainables.model.combinations import conflicts
from trainables.parts.decoders import Decoder, LSTMDecoder
from trainables.parts.encoders import Encoder, LSTMEncoder
from trainables.parts.initialization import Default, Initialization
from trainables.parts.optimizers import Adam, Optimizer
from trainables.parts.part import NOT_A_KNOB, KnobError, Part, require
from trainables.parts.precision import Precision, Single
from trainables.parts.pretraining import Pretraining
from trainables.parts.rates import Rate
from trainables.parts.sizes import Sizes
from trainables.parts.updates import Joint, Updates


@dataclass(frozen=True, kw_only=True)
class Variant(Part):
    """A recipe: it only combines parts. `with_knobs` gives the same recipe with other settings."""

    name: str = field(metadata=NOT_A_KNOB)
    paper: str = field(metadata=NOT_A_KNOB)
    encoder: Encoder = field(default_factory=LSTMEncoder)
    latent: Latent = field(default_factory=Gaussian)
    decoder: Decoder = field(default_factory=LSTMDecoder)
    condition: Condition = field(default_factory=Unconditional)
    rate: Rate = field(default_factory=Rate)
    updates: Updates = field(default_factory=Joint)
    pretraining: Pretraining = field(default_factory=Pretraining)
    optimizer: Optimizer = field(default_factory=Adam)
    initialization: Initialization = field(default_factory=Default)
    sizes: Sizes = field(default_factory=Sizes)
    precision: Precision = field(default_factory=Single)
    word_keep_rate: float = 1.0
    batch_size: int = 16
    batch_weighting: str = "sentences"
    fixed_batches: bool = False
    clip_norm: float = 5.0

    def __post_init__(self) -> None:
        require(0 <= self.word_keep_rate <= 1, "word_keep_rate", "in [0, 1]", self.word_keep_rate)
        require(self.batch_size >= 1, "batch_size", ">= 1", self.batch_size)
        weighting = self.batch_weighting
        require(weighting in ("sentences", "equal"), "batch_weighting", "sentences or equal", weighting)
        require(self.clip_norm > 0, "clip_norm", "> 0", self.clip_norm)

    def check(self) -> None:
        """Checks what no part can check alone; `with_knobs` does not: its way may lead over what cannot be.

        Raises:
            KnobError: parts that cannot be combined, with the reason.
        """
        for conflict in conflicts(self):
            raise KnobError(conflict)

    @property
    def decoder_label(self) -> str:
        """What tells models without a latent variable apart: the decoder, and what it is told and how."""
        skip = "+skip" if self.condition.label and self.decoder.skip_connections else ""
        return self.decoder.label + self.condition.label + skip

    def shared_knobs(self) -> set[str]:
        """Knobs that a variant has in common with its baseline: model size, dropout, training procedure.

        The others are the remedies' own: encoder, latent variable, KL term, updates, pretraining, word
        dropout, skip connections, and the choice of the decoder and of what it is told, for each of which
        there is a baseline.
        """
        own = {"encoder", "latent", "updates", "word_keep_rate", "skip_connections"}
        own |= {"decoder", "dilation", "condition", "label_size"}
        for part in (self.encoder, self.latent, self.rate, self.updates, self.pretraining):
            own |= part.knobs().keys()
        return self.knobs().keys() - own
