"""The collapsed baseline: the same decoder with z = 0."""

from trainables.encoders import NoEncoder
from trainables.latents import NoLatent
from trainables.variant import Variant

VARIANT = Variant(
    name="language_model",
    paper="Bowman et al. 2016, the RNNLM baseline",
    encoder=NoEncoder(),
    latent=NoLatent(),
)
