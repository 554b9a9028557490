"""How many cycles, how much of each the ramp takes, how many words are kept."""

from optuna.distributions import FloatDistribution, IntDistribution

from search_spaces.space import SearchSpace
from trainables.variants.cyclical import VARIANT

SPACE = SearchSpace(
    VARIANT,
    lambda extent: {
        "cycles": IntDistribution(1, max(1, min(10, extent.epochs))),
        "ramp_share": FloatDistribution(0.25, 1.0),
        "word_keep_rate": FloatDistribution(0.0, 1.0),
    },
)
