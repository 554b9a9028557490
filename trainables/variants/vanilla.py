"""The plain VAE on text: weight 1 from the first step. With a strong decoder it collapses."""

from trainables.model.variant import Variant

VARIANT = Variant(name="vanilla", paper="Kingma & Welling 2014, Auto-Encoding Variational Bayes")
