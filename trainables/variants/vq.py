"""Codes by nearest neighbour in a codebook, with an autoregressive prior over them."""

from trainables.latents.vq import VectorQuantized
from trainables.model.variant import Variant

VARIANT = Variant(
    name="vq",
    paper="van den Oord et al. 2017, Neural Discrete Representation Learning",
    latent=VectorQuantized(),
)
