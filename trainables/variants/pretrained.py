"""An autoencoder first; then a new decoder, free bits and annealing."""

from trainables.latents import Gaussian
from trainables.pretraining import Pretraining
from trainables.rates import Rate
from trainables.schedules import Annealed
from trainables.variant import Variant

VARIANT = Variant(
    name="pretrained",
    paper="Li et al. 2019, A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text",
    latent=Gaussian(posterior_bias=False),
    pretraining=Pretraining(pretraining_epochs=4),
    rate=Rate(schedule=Annealed(anneal_rate=0.2), free_bits=2.0, free_bits_of="sentence"),
)
