"""Latent variables and what conditions them: configuration, module and posterior of each. They never see a
decoder or an optimiser."""
