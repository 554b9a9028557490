"""A variant as a whole: its parts together, what cannot be combined, the text VAE that they make. It neither
trains nor evaluates."""
