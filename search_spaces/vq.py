"""How many codes of how many entries, and how firmly the encoder is held to them."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from search_spaces.space import SearchSpace
from trainables.variants.vq import VARIANT

SPACE = SearchSpace(
    VARIANT,
    lambda extent: {
        "codes": CategoricalDistribution((1, 2, 4, 8)),
        "codebook_size": CategoricalDistribution((8, 32, 128, 512)),
        "commitment": FloatDistribution(0.25, 1.0),
    },
)
