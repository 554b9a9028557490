"""Text becomes batches: sources, corpora, vocabulary, splits, and two corpora whose entropy is known. It
knows no model."""
