"""The KL is held at a target: β·|KL − C|."""

from trainables.rates import Rate
from trainables.variant import Variant

VARIANT = Variant(
    name="kl_target",
    paper="Prokhorov et al. 2019, On the Importance of the Kullback-Leibler Divergence Term in VAEs for Text",
    rate=Rate(kl_target=3.0),
)
