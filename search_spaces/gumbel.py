"""How many codes of how many entries, where the temperature ends, and the weight of the KL."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from search_spaces.space import SearchSpace
from trainables.variants.gumbel import VARIANT

SPACE = SearchSpace(
    VARIANT,
    lambda extent: {
        "codes": CategoricalDistribution((1, 2, 4, 8)),
        "codebook_size": CategoricalDistribution((8, 32, 128)),
        "temperature_end": FloatDistribution(0.3, 1.0),
        "beta": FloatDistribution(0.1, 1.0, log=True),
        "straight_through": CategoricalDistribution((True, False)),
    },
)
