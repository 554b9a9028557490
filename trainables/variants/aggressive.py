"""Aggressive training of the inference network before each step of the generator.

It is combined with linear annealing, as in the paper's best runs; `kl_start` 1 leaves that out.
"""

from trainables.model.variant import Variant
from trainables.parts.rates import Rate
from trainables.parts.schedules import Annealed
from trainables.parts.updates import Aggressive

VARIANT = Variant(
    name="aggressive",
    paper="He et al. 2019, Lagging Inference Networks and Posterior Collapse in Variational Autoencoders",
    rate=Rate(schedule=Annealed(kl_start=0.1)),
    updates=Aggressive(),
)
