"""Skip connections from z to the decoder's hidden layers."""

from trainables.model.variant import Variant
from trainables.parts.decoders import LSTMDecoder

VARIANT = Variant(
    name="skip",
    paper="Dieng et al. 2019, Avoiding Latent Variable Collapse with Generative Skip Models",
    decoder=LSTMDecoder(skip_connections=True),
)
