"""Skip connections from z to the decoder's hidden layers."""

from trainables.decoders import LSTMDecoder
from trainables.variant import Variant

VARIANT = Variant(
    name="skip",
    paper="Dieng et al. 2019, Avoiding Latent Variable Collapse with Generative Skip Models",
    decoder=LSTMDecoder(skip_connections=True),
)
