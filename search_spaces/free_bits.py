"""How many nats are free, whether of a batch (Kingma et al. 2016) or of a sentence (Li et al. 2019), and
whether the posterior has a bias to take them by."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from search_spaces.space import SearchSpace
from trainables.variants.free_bits import VARIANT

SPACE = SearchSpace(
    VARIANT,
    lambda extent: {
        "free_bits": FloatDistribution(1.0, 10.0, log=True),
        "free_bits_of": CategoricalDistribution(("batch", "sentence")),
        "posterior_bias": CategoricalDistribution((True, False)),
    },
)
