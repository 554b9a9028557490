"""What is found out about a trained model when the search is over: a tighter bound, what it says, and what
its latent variable tells of each sentence.

Shape suffixes: N sentences, G groups of latent units, D numbers that describe a group or a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.common.cpu import prepare_cpu
from trainables.evaluation.evaluate import EVALUATION_BATCH, EVALUATION_SEED
from trainables.evaluation.importance_weighting import ImportanceWeighted, importance_weighted_nll
from trainables.evaluation.information import active
from trainables.evaluation.texts import Texts, write_texts
from trainables.model.text_vae import TextVAE
from trainables.model.variant import Variant
from trainables.text.batches import evaluation_batches
from trainables.text.splits import Corpus, Split

MOST_SENTENCES = 5000


@dataclass(frozen=True)
class Request:
    """What to find out: the IW-NLL with `iw_samples` on `iw_sentences` of test (None: on all), or with less
    where `iw_tolerance` allows it, and with `texts` also what the model says and knows."""

    iw_samples: int
    iw_sentences: int | None
    texts: bool
    iw_tolerance: float = 0.0
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class Knowledge:
    """Posterior means of labelled sentences as mean_ND, of the active units alone, and the labels.

    The mean of an inactive unit may tell sentences apart by differences that are far below its posterior's
    noise: a classifier that scales its features would find them, where a decoder finds nothing.
    """

    mean_ND: NDArray[np.float32]
    labels_N: NDArray[np.int64]


@dataclass(frozen=True)
class Examination:
    """What was found out, about `test_sentences` or some of them; `train` and `test` only where there are
    labels that the model is not told, at most `MOST_SENTENCES` of each."""

    weighted: ImportanceWeighted
    test_sentences: int
    texts: Texts | None = None
    train: Knowledge | None = None
    test: Knowledge | None = None


def examine(variant: Variant, weights: Mapping[str, Tensor], corpus: Corpus, request: Request) -> Examination:
    """Examines the variant's model with these weights."""
    prepare_cpu(request.threads)
    device = torch.device(request.device)
    model = TextVAE(variant, len(corpus.vocabulary), corpus.label_counts).to(device)
    model.load_state_dict(weights)
    weighted = importance_weighted_nll(
        model,
        corpus.test,
        device,
        samples=request.iw_samples,
        sentences=request.iw_sentences,
        tolerance=request.iw_tolerance,
    )
    sentences = len(corpus.test)
    if not request.texts:
        return Examination(weighted, sentences)
    texts = write_texts(model, corpus, device)
    if not corpus.label_names or model.told:  # a label that was told is not found out
        return Examination(weighted, sentences, texts)
    return Examination(weighted, sentences, texts, *_knowledge(model, corpus, device))


@torch.no_grad()
def _knowledge(model: TextVAE, corpus: Corpus, device: torch.device) -> tuple[Knowledge, Knowledge]:
    """Of train and of test, both of the units that are active on train."""
    (train_NGD, train_N), (test_NGD, test_N) = (
        _means(model, split, device) for split in (corpus.train, corpus.test)
    )
    kept_G = active(train_NGD)
    return Knowledge(_flat(train_NGD[:, kept_G]), train_N), Knowledge(_flat(test_NGD[:, kept_G]), test_N)


def _means(model: TextVAE, split: Split, device: torch.device) -> tuple[Tensor, NDArray[np.int64]]:
    model.eval()
    chosen = np.random.default_rng(EVALUATION_SEED).permutation(len(split))[:MOST_SENTENCES]
    means: list[Tensor] = []
    labels: list[Tensor] = []
    for batch in evaluation_batches(split.take(chosen), EVALUATION_BATCH):
        assert batch.labels_B is not None
        means.append(model.posterior(batch.to(device)).mean_BGD.cpu())
        labels.append(batch.labels_B)
    return torch.cat(means), torch.cat(labels).numpy()


def _flat(mean_NGD: Tensor) -> NDArray[np.float32]:
    flat_ND: NDArray[np.float32] = mean_NGD.flatten(1).numpy()
    return flat_ND
