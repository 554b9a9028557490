"""Measured comparisons, each a command that writes its table to docs/benchmarks/."""
