"""Variants: one file each, found by its name."""

BASELINE = "language_model"
"""The collapsed baseline: run always, no variant to choose."""
