"""Categorical codes through the Gumbel-softmax, its temperature annealed."""

from trainables.latents.gumbel import Gumbel
from trainables.model.variant import Variant

VARIANT = Variant(
    name="gumbel",
    paper="Jang et al. 2017, Categorical Reparameterization with Gumbel-Softmax",
    latent=Gumbel(),
)
