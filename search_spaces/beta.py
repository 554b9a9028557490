"""The weight, and whether it is constant or balanced against the reconstruction NLL."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from search_spaces.space import SearchSpace
from trainables.variants.beta import VARIANT

SPACE = SearchSpace(
    VARIANT,
    lambda extent: {
        "schedule": CategoricalDistribution(("constant", "balanced")),
        "beta": FloatDistribution(0.1, 1.0, log=True),
    },
)
