"""A constant KL weight below 1, or one that falls with the reconstruction NLL (`schedule=balanced`)."""

from trainables.rates import Rate
from trainables.schedules import Constant
from trainables.variant import Variant

VARIANT = Variant(
    name="beta",
    paper="Higgins et al. 2017, beta-VAE; Asperti & Trentin 2020, Balancing Reconstruction Error and KL",
    rate=Rate(schedule=Constant(beta=0.3)),
)
