"""The target, the weight of the distance to it, and whether the posterior has a bias to reach it by."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from search_spaces.space import SearchSpace
from trainables.variants.kl_target import VARIANT

SPACE = SearchSpace(
    VARIANT,
    lambda extent: {
        "kl_target": FloatDistribution(1.0, 30.0, log=True),
        "beta": FloatDistribution(0.1, 1.0, log=True),
        "posterior_bias": CategoricalDistribution((True, False)),
    },
)
