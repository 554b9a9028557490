"""Batches of sentences of equal length, so that no model needs padding or masks.

A length with n sentences gives ⌈n / batch size⌉ batches whose sizes differ by at most one: no full
batches followed by a tiny remainder that would weigh as much as a full one. Which sentences share a
batch is drawn anew for every epoch. Every length ends in a batch of its own, so an epoch has more steps
than N / batch size: `count_batches` is the true number.

Shape suffixes: B sentences of a batch, T tokens of a sentence with both marks, N sentences of the split,
G distinct lengths, K batches of an epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from trainables.splits import Int64Array, Split


@dataclass(frozen=True, eq=False)
class Batch:
    """Sentences of equal length.

    Args:
        tokens_BT: int64 word ids; column 0 is `<s>`, the last column `</s>`.
        labels_B: int64 label indices, or None for an unlabelled corpus.
        indices_B: the sentences' numbers in the split.
    """

    tokens_BT: torch.Tensor
    labels_B: torch.Tensor | None
    indices_B: Int64Array

    def to(self, device: torch.device) -> Batch:
        """The batch with its tensors on that device."""
        labels_B = None if self.labels_B is None else self.labels_B.to(device)
        return Batch(self.tokens_BT.to(device), labels_B, self.indices_B)

    def repeat(self, times: int) -> Batch:
        """All sentences once more and again: times · B of them."""
        labels_B = None if self.labels_B is None else self.labels_B.repeat(times)
        return Batch(self.tokens_BT.repeat(times, 1), labels_B, np.tile(self.indices_B, times))


def training_batches(split: Split, batch_size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """One epoch: every sentence once, membership and order of the batches drawn from `rng`.

    All draws happen in the call, none while iterating, so other draws from `rng` in between change nothing.
    """
    batches_G = _batches_per_length(split, batch_size)
    shuffled_N = rng.permutation(len(split))
    order_N = shuffled_N[np.argsort(split.lengths[shuffled_N], kind="stable")]
    visits_K = rng.permutation(int(batches_G.sum()))
    return _cut(split, order_N, batches_G, visits_K)


def evaluation_batches(split: Split, batch_size: int) -> Iterator[Batch]:
    """Every sentence once, always in the same batches, shortest sentences first."""
    batches_G = _batches_per_length(split, batch_size)
    return _cut(split, split.by_length.order_N, batches_G, np.arange(int(batches_G.sum())))


def count_batches(split: Split, batch_size: int) -> int:
    """Batches in one epoch, the same for `training_batches` and `evaluation_batches`."""
    return int(_batches_per_length(split, batch_size).sum())


def random_batch(split: Split, batch_size: int, rng: np.random.Generator) -> Batch:
    """One batch, distributed as a batch picked uniformly from a freshly shuffled epoch.

    Costs the same for any size of split (after the first call, which groups the sentences by length).
    """
    groups = split.by_length
    ends_G = np.cumsum(_batches_per_length(split, batch_size))
    pick = int(rng.integers(int(ends_G[-1])))
    group = int(np.searchsorted(ends_G, pick, side="right"))
    count = int(groups.counts_G[group])
    batches = -(-count // batch_size)
    place = pick - (int(ends_G[group]) - batches)
    size = count // batches + (place < count % batches)
    members_B = rng.choice(count, size, replace=False, shuffle=False)
    indices_B = groups.order_N[int(groups.starts_G[group]) + members_B]
    return _gather(split, indices_B, int(groups.lengths_G[group]))


def _batches_per_length(split: Split, batch_size: int) -> Int64Array:
    if batch_size < 1:
        raise ValueError(f"batch_size is at least 1, got {batch_size}")
    return -(-split.by_length.counts_G // batch_size)


def _cut(split: Split, order_N: Int64Array, batches_G: Int64Array, visits_K: Int64Array) -> Iterator[Batch]:
    """Batches of `order_N`, which is sorted by length, in the order of `visits_K`."""
    groups = split.by_length
    group_K = np.repeat(np.arange(batches_G.size), batches_G)
    place_K = np.arange(group_K.size) - (np.cumsum(batches_G) - batches_G)[group_K]
    sizes_K = (groups.counts_G // batches_G)[group_K] + (place_K < (groups.counts_G % batches_G)[group_K])
    ends_K = np.cumsum(sizes_K)
    starts, ends, lengths = (ends_K - sizes_K).tolist(), ends_K.tolist(), groups.lengths_G[group_K].tolist()
    return (_gather(split, order_N[starts[k] : ends[k]].copy(), lengths[k]) for k in visits_K.tolist())


def _gather(split: Split, indices_B: Int64Array, length: int) -> Batch:
    # Indexing with an array copies: the split's own arrays may be read-only views of shared memory.
    tokens_BT = split.tokens[split.offsets[indices_B][:, None] + np.arange(length)].astype(np.int64)
    labels_B = None if split.labels is None else torch.from_numpy(split.labels[indices_B].astype(np.int64))
    return Batch(torch.from_numpy(tokens_BT), labels_B, indices_B)
