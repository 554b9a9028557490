"""The KL weight rises anew in every cycle."""

from trainables.model.variant import Variant
from trainables.parts.rates import Rate
from trainables.parts.schedules import Cyclical

VARIANT = Variant(
    name="cyclical",
    paper="Fu et al. 2019, Cyclical Annealing Schedule",
    rate=Rate(schedule=Cyclical()),
)
