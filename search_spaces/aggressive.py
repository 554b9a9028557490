"""How long the aggressive phase may last, and with which annealing (He et al. 2019 use both)."""

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces.space import SearchSpace
from trainables.variants.aggressive import VARIANT

SPACE = SearchSpace(
    VARIANT,
    lambda extent: {
        "aggressive_epochs": IntDistribution(1, min(extent.epochs, max(2, extent.epochs // 6), 10)),
        "anneal_rate": FloatDistribution(1 / extent.epochs, 20 / extent.epochs, log=True),
        "kl_start": CategoricalDistribution((0.0, 0.1, 1.0)),
    },
)
