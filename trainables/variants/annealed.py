"""KL annealing and word dropout."""

from trainables.rates import Rate
from trainables.schedules import Annealed
from trainables.variant import Variant

VARIANT = Variant(
    name="annealed",
    paper="Bowman et al. 2016, Generating Sentences from a Continuous Space",
    rate=Rate(schedule=Annealed()),
)
