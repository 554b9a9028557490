"""How a sweep runs: its life on Ray from preflight to the last word, its folder, progress and interrupts. It
computes no figure and words no report."""
