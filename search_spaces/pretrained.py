"""How long the autoencoder is trained, whether its decoder is kept, how many nats are free, how fast the
weight rises."""

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces.space import SearchSpace
from trainables.variants.pretrained import VARIANT

SPACE = SearchSpace(
    VARIANT,
    lambda extent: {
        "pretraining_epochs": IntDistribution(
            min(1, extent.epochs // 6), min(extent.epochs - 1, max(1, extent.epochs // 2))
        ),
        "reset_decoder": CategoricalDistribution((True, False)),
        "free_bits": FloatDistribution(1.0, 10.0, log=True),
        "anneal_rate": FloatDistribution(1 / extent.epochs, 20 / extent.epochs, log=True),
    },
)
