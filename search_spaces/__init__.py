"""Search spaces, one file a variant: which knobs move, and how far.

They choose no sampler and build no variant.
"""
