"""The label is given to encoder, prior and decoder; beside a language model that is told it too."""

from trainables.latents.conditions import GivenLabel
from trainables.model.variant import Variant
from trainables.parts.rates import Rate
from trainables.parts.schedules import Annealed

VARIANT = Variant(
    name="conditional",
    paper="Sohn et al. 2015, Learning Structured Output Representation",
    condition=GivenLabel(),
    rate=Rate(schedule=Annealed(anneal_rate=0.2, anneal_delay=4.0, kl_start=0.03)),
)
