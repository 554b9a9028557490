"""An autoencoder first; then a new decoder, free bits and annealing."""

from trainables.pretraining import Pretraining
from trainables.rates import Rate
from trainables.schedules import Annealed
from trainables.variant import Variant

VARIANT = Variant(
    name="pretrained",
    paper="Li et al. 2019, A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text",
    pretraining=Pretraining(pretraining_epochs=3),
    rate=Rate(schedule=Annealed(anneal_rate=0.3), free_bits=3.0, free_bits_of="sentence"),
)
