"""The KL is held at a target: β·|KL − C|.

With a bias the posterior can reach the target by being the same for every sentence: by default it has none.
"""

from trainables.latents.gaussian import Gaussian
from trainables.model.variant import Variant
from trainables.parts.rates import Rate
from trainables.parts.schedules import Constant

VARIANT = Variant(
    name="kl_target",
    paper="Prokhorov et al. 2019, On the Importance of the Kullback-Leibler Divergence Term in VAEs for Text",
    latent=Gaussian(posterior_bias=False),
    rate=Rate(schedule=Constant(beta=0.3), kl_target=3.0),
)
