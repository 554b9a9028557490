"""Nats of KL that cost nothing, shared out among the latent units."""

from trainables.rates import Rate
from trainables.variant import Variant

VARIANT = Variant(
    name="free_bits",
    paper="Kingma et al. 2016, Improved Variational Inference with Inverse Autoregressive Flow",
    rate=Rate(free_bits=3.0),
)
