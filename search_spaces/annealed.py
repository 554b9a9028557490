"""How long the KL weight stays low, how fast and along which curve it rises, how many words are kept."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from search_spaces.space import SearchSpace
from trainables.variants.annealed import VARIANT

SPACE = SearchSpace(
    VARIANT,
    lambda extent: {
        "anneal_shape": CategoricalDistribution(("linear", "logistic")),
        "anneal_rate": FloatDistribution(1 / extent.epochs, 20 / extent.epochs, log=True),
        "anneal_delay": FloatDistribution(0.0, 0.6 * extent.epochs),
        "kl_start": CategoricalDistribution((0.0, 0.03, 0.1)),
        "word_keep_rate": FloatDistribution(0.0, 1.0),
    },
)
