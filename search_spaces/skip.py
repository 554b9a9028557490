"""How many words the decoder is given; the skip connections themselves have no knob."""

from optuna.distributions import FloatDistribution

from search_spaces.space import SearchSpace
from trainables.variants.skip import VARIANT

SPACE = SearchSpace(VARIANT, lambda extent: {"word_keep_rate": FloatDistribution(0.0, 1.0)})
