"""The standard deviation of the means, which sets the least KL."""

from optuna.distributions import FloatDistribution

from search_spaces.space import SearchSpace
from trainables.variants.batch_norm import VARIANT

SPACE = SearchSpace(VARIANT, lambda extent: {"mean_scale": FloatDistribution(0.2, 1.2, log=True)})
