"""How far the decoder sees, and how many words it is given."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from search_spaces.space import SearchSpace
from trainables.variants.dilated import VARIANT

SPACE = SearchSpace(
    VARIANT,
    lambda epochs: {
        "dilation": CategoricalDistribution(("S", "M", "L", "VL")),
        "word_keep_rate": FloatDistribution(0.0, 1.0),
    },
)
