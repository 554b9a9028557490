"""The parts of a variant, configuration and builder at once: encoder, decoder, rate, updates, optimiser. A
part knows no variant and no other part's knobs."""
