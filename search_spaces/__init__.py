"""Search spaces: one file a variant, in Optuna's distributions."""
