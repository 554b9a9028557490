"""Models and batches that several test modules use."""

import itertools
from collections.abc import Callable

import numpy as np
import torch

from trainables.model.text_vae import TextVAE
from trainables.model.variant import Variant
from trainables.text.batches import Batch
from trainables.text.splits import Split
from trainables.text.vocabulary import END, START

CPU = torch.device("cpu")
LABELS = (6, 3, 1)
"""Training sentences of each label."""

MakeVariant = Callable[..., Variant]


def silent_model(variant: Variant, words: int) -> TextVAE:
    """All weights 0: every word has probability 1 / words, every posterior is the same."""
    model = TextVAE(variant, words, LABELS)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    return model


def talking_model(variant: Variant, words: int) -> TextVAE:
    """A decoder that heeds z and an encoder that is roughly right about nothing."""
    torch.manual_seed(7)
    model = TextVAE(variant, words, LABELS)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.uniform_(-0.8, 0.8)
    return model.eval()


def rows(split: Split) -> list[Batch]:
    """Each sentence as a batch of one."""
    batches = []
    for number, (start, end) in enumerate(itertools.pairwise(split.offsets.tolist())):
        tokens_BT = torch.from_numpy(split.tokens[start:end].astype(np.int64)).unsqueeze(0)
        labels_B = None if split.labels is None else torch.tensor([int(split.labels[number])])
        batches.append(Batch(tokens_BT, labels_B, np.array([number])))
    return batches


def random_batch(sentences: int, words: int, vocabulary: int = 16) -> Batch:
    """Sentences of random words, each with one of the labels."""
    inner_BT = torch.randint(4, vocabulary, (sentences, words))
    ends = torch.full((sentences, 1), START), torch.full((sentences, 1), END)
    tokens_BT = torch.cat([ends[0], inner_BT, ends[1]], dim=1)
    return Batch(tokens_BT, torch.randint(len(LABELS), (sentences,)), np.arange(sentences))
