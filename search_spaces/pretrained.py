"""How long the autoencoder is trained, how many nats are free, how fast the weight rises."""

from optuna.distributions import FloatDistribution, IntDistribution

from search_spaces.space import SearchSpace
from trainables.variants.pretrained import VARIANT

SPACE = SearchSpace(
    VARIANT,
    lambda extent: {
        "pretraining_epochs": IntDistribution(
            min(1, extent.epochs // 6), min(extent.epochs - 1, max(1, extent.epochs // 3))
        ),
        "free_bits": FloatDistribution(1.0, 10.0, log=True),
        "anneal_rate": FloatDistribution(1 / extent.epochs, 20 / extent.epochs, log=True),
    },
)
