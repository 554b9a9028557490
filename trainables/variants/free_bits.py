"""Nats of KL that cost nothing, shared out among the latent units.

With a bias the posterior can take them by being the same for every sentence, so by default it has none.
"""

from trainables.latents.gaussian import Gaussian
from trainables.model.variant import Variant
from trainables.parts.rates import Rate

VARIANT = Variant(
    name="free_bits",
    paper="Kingma et al. 2016, Improved Variational Inference with Inverse Autoregressive Flow",
    latent=Gaussian(posterior_bias=False),
    rate=Rate(free_bits=2.0),
)
