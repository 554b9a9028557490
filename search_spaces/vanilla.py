"""Nothing to search: the vanilla VAE is trained on several seeds instead."""

from search_spaces.space import SearchSpace
from trainables.variants.vanilla import VARIANT

SPACE = SearchSpace(VARIANT, lambda extent: {})
