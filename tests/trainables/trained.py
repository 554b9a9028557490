"""Trained models and the text of their corpora."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainables.evaluation.trained_model import TrainedModel
from trainables.model.variant import Variant
from trainables.text.splits import Corpus, Split
from trainables.training.loop import Training


class Trained(NamedTuple):
    """A model, and what its training says that each test sentence costs."""

    model: TrainedModel
    losses_N: NDArray[np.float32]


def trained(variant: Variant, corpus: Corpus, epochs: int = 2, trial_id: str = "t0") -> Trained:
    """A model trained on a seed of its own."""
    training = Training(variant, corpus, epochs=epochs, seed=5)
    while not training.finished:
        training.run_epoch()
    losses_N = training.final_metrics(iw_samples=1, iw_sentences=1).losses_N
    model = TrainedModel.of(variant, training.best_weights, corpus, seed=5, sweep="s", trial_id=trial_id)
    return Trained(model, losses_N)


def texts(split: Split, corpus: Corpus) -> list[str]:
    """The sentences of a split as text."""
    bounds = zip(split.offsets[:-1] + 1, split.offsets[1:] - 1, strict=True)
    return [" ".join(corpus.vocabulary.decode(split.tokens[start:end].tolist())) for start, end in bounds]


def labels(split: Split, corpus: Corpus) -> list[str]:
    """The names of their labels."""
    assert split.labels is not None
    return [corpus.label_names[label] for label in split.labels]
