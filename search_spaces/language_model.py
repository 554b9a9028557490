"""Nothing to search: the baseline is trained on several seeds instead."""

from search_spaces.space import SearchSpace
from trainables.variants.language_model import VARIANT

SPACE = SearchSpace(VARIANT, lambda extent: {})
