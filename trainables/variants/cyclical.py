"""The KL weight rises anew in every cycle."""

from trainables.rates import Rate
from trainables.schedules import Cyclical
from trainables.variant import Variant

VARIANT = Variant(
    name="cyclical",
    paper="Fu et al. 2019, Cyclical Annealing Schedule",
    rate=Rate(schedule=Cyclical()),
)
