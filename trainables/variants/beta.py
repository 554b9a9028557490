"""A constant KL weight below 1, or one that falls with the reconstruction NLL (`schedule=balanced`)."""

from trainables.model.variant import Variant
from trainables.parts.rates import Rate
from trainables.parts.schedules import Constant

VARIANT = Variant(
    name="beta",
    paper="Higgins et al. 2017, beta-VAE; Asperti & Trentin 2020, Balancing Reconstruction Error and KL",
    rate=Rate(schedule=Constant(beta=0.3)),
)
