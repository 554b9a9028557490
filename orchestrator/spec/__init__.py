"""What is asked of a sweep: the spec and its file, options, knobs, ranges and baselines, checked before any
compute is spent. It decides nothing about when a trial runs, and starts nothing."""
