"""A decoder of dilated convolutions: the receptive field sets how much it needs z."""

from trainables.model.variant import Variant
from trainables.parts.decoders import DilatedDecoder

VARIANT = Variant(
    name="dilated",
    paper="Yang et al. 2017, Improved Variational Autoencoders for Text Modeling using Dilated Convolutions",
    decoder=DilatedDecoder(),
)
