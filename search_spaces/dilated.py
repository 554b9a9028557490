"""How far the decoder sees, and how many words it is given."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from search_spaces.space import SearchSpace
from trainables.parts.decoders import DilatedDecoder
from trainables.variants.dilated import VARIANT


def dilations(longest: int | None) -> tuple[str, ...]:
    """The paper's dilations up to the first that sees a whole sentence: more sees no more."""
    names = tuple(DilatedDecoder.named)
    if longest is None:
        return names
    fields = [DilatedDecoder(dilation=name).receptive_field for name in names]
    return names[: sum(field < longest for field in fields) + 1]


SPACE = SearchSpace(
    VARIANT,
    lambda extent: {
        "dilation": CategoricalDistribution(dilations(extent.longest)),
        "word_keep_rate": FloatDistribution(0.0, 1.0),
    },
)
