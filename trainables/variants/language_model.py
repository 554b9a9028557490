"""The collapsed baseline: the same decoder with z = 0."""

from trainables.latents.gaussian import NoLatent
from trainables.model.variant import Variant
from trainables.parts.encoders import NoEncoder

VARIANT = Variant(
    name="language_model",
    paper="Bowman et al. 2016, the RNNLM baseline",
    encoder=NoEncoder(),
    latent=NoLatent(),
)
