"""KL annealing and word dropout.

The default keeps the weight near 0 until the encoder has found something to say; annealing from the first
step collapses on the embedded corpus.
"""

from trainables.model.variant import Variant
from trainables.parts.rates import Rate
from trainables.parts.schedules import Annealed

VARIANT = Variant(
    name="annealed",
    paper="Bowman et al. 2016, Generating Sentences from a Continuous Space",
    rate=Rate(schedule=Annealed(anneal_rate=0.1, anneal_delay=4.0, kl_start=0.03)),
)
