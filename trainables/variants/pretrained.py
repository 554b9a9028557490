"""An autoencoder first; then a new decoder, free bits and annealing."""

from trainables.latents.gaussian import Gaussian
from trainables.model.variant import Variant
from trainables.parts.pretraining import Pretraining
from trainables.parts.rates import Rate
from trainables.parts.schedules import Annealed

VARIANT = Variant(
    name="pretrained",
    paper="Li et al. 2019, A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text",
    latent=Gaussian(posterior_bias=False),
    pretraining=Pretraining(pretraining_epochs=4),
    rate=Rate(schedule=Annealed(anneal_rate=0.2), free_bits=2.0, free_bits_of="sentence"),
)
