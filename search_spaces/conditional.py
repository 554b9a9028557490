"""How long the KL weight stays low and how fast it rises, how many words are kept."""

from optuna.distributions import FloatDistribution

from search_spaces.space import SearchSpace
from trainables.variants.conditional import VARIANT

SPACE = SearchSpace(
    VARIANT,
    lambda extent: {
        "anneal_rate": FloatDistribution(2 / extent.epochs, 20 / extent.epochs, log=True),
        "anneal_delay": FloatDistribution(0.0, 0.6 * extent.epochs),
        "word_keep_rate": FloatDistribution(0.0, 1.0),
    },
)
