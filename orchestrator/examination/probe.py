"""What the latent knows of a corpus's labels, in figures. How they are read from the posterior means is in
`readings`, which takes scikit-learn and so is loaded only where there are labels."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class Probe:
    """Figures on test; all but `nmi` are shares of its sentences.

    Attributes:
        accuracy: of logistic regression on standardised μ.
        majority: of always saying the most frequent label of train: what needs no latent.
        mixture_accuracy: of the mixture, its components named by labels one to one, as fits train best.
        nmi: mutual information of component and label over the mean of their entropies; 0 where all
            sentences have one label, of which nothing can be known. Pure noise has about
            (K − 1)(C − 1) / 2N nats of it.
        train_sentences, test_sentences: how many were learnt from and judged by.
    """

    accuracy: float
    majority: float
    mixture_accuracy: float
    nmi: float
    train_sentences: int
    test_sentences: int

    def named(self) -> dict[str, float]:
        """Metric names to values."""
        return {f"probe/{name}": float(value) for name, value in dataclasses.asdict(self).items()}
