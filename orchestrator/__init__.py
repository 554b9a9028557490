"""The sweep: search, run, track, compare."""
