"""What is found out about a trained model when the search is over: a tighter bound, what it says, and what
its latent variable tells of each sentence.

Shape suffixes: N sentences, D numbers that describe a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.batches import evaluation_batches
from trainables.evaluation import (
    EVALUATION_BATCH,
    EVALUATION_SEED,
    ImportanceWeighted,
    importance_weighted_nll,
)
from trainables.model import TextVAE
from trainables.splits import Corpus, Split
from trainables.texts import Texts, write_texts
from trainables.variant import Variant

MOST_SENTENCES = 5000


@dataclass(frozen=True)
class Request:
    """What to find out: the IW-NLL with `iw_samples` on `iw_sentences` of test (None: on all), and with
    `texts` also what the model says and knows."""

    iw_samples: int
    iw_sentences: int | None
    texts: bool
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class Knowledge:
    """Posterior means of labelled sentences as mean_ND, and their labels."""

    mean_ND: NDArray[np.float32]
    labels_N: NDArray[np.int64]


@dataclass(frozen=True)
class Examination:
    """What was found out; `train` and `test` only of a labelled corpus, at most `MOST_SENTENCES` of each."""

    weighted: ImportanceWeighted
    texts: Texts | None = None
    train: Knowledge | None = None
    test: Knowledge | None = None


def examine(variant: Variant, weights: Mapping[str, Tensor], corpus: Corpus, request: Request) -> Examination:
    """Examines the variant's model with these weights."""
    torch.set_num_threads(request.threads)
    device = torch.device(request.device)
    model = TextVAE(variant, len(corpus.vocabulary), corpus.label_counts).to(device)
    model.load_state_dict(weights)
    weighted = importance_weighted_nll(
        model, corpus.test, device, samples=request.iw_samples, sentences=request.iw_sentences
    )
    if not request.texts:
        return Examination(weighted)
    texts = write_texts(model, corpus, device, told_labels=variant.condition.width > 0)
    return Examination(
        weighted, texts, *(_knowledge(model, split, device) for split in (corpus.train, corpus.test))
    )


@torch.no_grad()
def _knowledge(model: TextVAE, split: Split, device: torch.device) -> Knowledge | None:
    if split.labels is None:
        return None
    model.eval()
    chosen = np.random.default_rng(EVALUATION_SEED).permutation(len(split))[:MOST_SENTENCES]
    means: list[NDArray[np.float32]] = []
    labels: list[NDArray[np.int64]] = []
    for batch in evaluation_batches(split.take(chosen), EVALUATION_BATCH):
        assert batch.labels_B is not None
        means.append(model.posterior(batch.to(device)).mean_BGD.flatten(1).cpu().numpy())
        labels.append(batch.labels_B.numpy())
    return Knowledge(np.concatenate(means), np.concatenate(labels))
