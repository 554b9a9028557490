"""Means of the posterior are batch-normalised, so that the KL cannot vanish."""

from trainables.latents.gaussian import BatchNormGaussian
from trainables.model.variant import Variant

VARIANT = Variant(
    name="batch_norm",
    paper="Zhu et al. 2020, A Batch Normalized Inference Network Keeps the KL Vanishing Away",
    latent=BatchNormGaussian(),
)
