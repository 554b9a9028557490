"""Batches of sentences of equal length, so that no model needs padding or masks.

A length with n sentences gives ⌈n / batch size⌉ batches whose sizes differ by at most one: no full
batches followed by a tiny remainder that would weigh as much as a full one. Which sentences share a
batch is drawn anew for every epoch. Every length ends in a batch of its own, so an epoch has more steps
than N / batch size: `count_batches` is the true number.

With `fixed` both are as in the code of He et al. 2019: full batches and a remainder for each length, the
same in every epoch, visited in an order of its own.

Shape suffixes: B sentences of a batch, T tokens of a sentence with both marks, N sentences of the split,
G distinct lengths, K batches of an epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from trainables.text.splits import Int64Array, Split


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


def training_batches(
    split: Split, batch_size: int, rng: np.random.Generator, *, fixed: bool = False
) -> Iterator[Batch]:
    """One epoch: every sentence once, membership (unless `fixed`) and order of the batches drawn from `rng`.

    All draws happen in the call, none while iterating, so other draws from `rng` in between change nothing.
    """
    order_N = split.by_length.order_N
    if not fixed:
        shuffled_N = rng.permutation(len(split))
        order_N = shuffled_N[np.argsort(split.lengths[shuffled_N], kind="stable")]
    sizes_K = _batch_sizes(split, batch_size, fixed)
    return _cut(split, order_N, batch_size, sizes_K, rng.permutation(sizes_K.size))


def evaluation_batches(split: Split, batch_size: int) -> Iterator[Batch]:
    """Every sentence once, always in the same batches, shortest sentences first."""
    sizes_K = _batch_sizes(split, batch_size)
    return _cut(split, split.by_length.order_N, batch_size, sizes_K, np.arange(sizes_K.size))


def count_batches(split: Split, batch_size: int) -> int:
    """Batches in one epoch, the same for `training_batches` and `evaluation_batches`."""
    return int(_batches_per_length(split, batch_size).sum())


def alone(split: Split, batch_size: int) -> int:
    """How many sentences are a batch by themselves in every epoch."""
    counts_G, batches_G = split.by_length.counts_G, _batches_per_length(split, batch_size)
    return int(np.where(counts_G // batches_G == 1, batches_G - counts_G % batches_G, 0).sum())


def random_batch(split: Split, batch_size: int, rng: np.random.Generator, *, fixed: bool = False) -> Batch:
    """One batch, distributed as a batch picked uniformly from an epoch: a freshly shuffled one, or `fixed`.

    Costs the same for any size of split (after the first call, which groups the sentences by length).
    """
    groups = split.by_length
    ends_G = np.cumsum(_batches_per_length(split, batch_size))
    pick = int(rng.integers(int(ends_G[-1])))
    group = int(np.searchsorted(ends_G, pick, side="right"))
    count = int(groups.counts_G[group])
    batches = -(-count // batch_size)
    place = pick - (int(ends_G[group]) - batches)
    if fixed:
        members_B = np.arange(place * batch_size, min((place + 1) * batch_size, count))
    else:
        size = count // batches + (place < count % batches)
        members_B = rng.choice(count, size, replace=False, shuffle=False)
    indices_B = groups.order_N[int(groups.starts_G[group]) + members_B]
    return _gather(split, indices_B, int(groups.lengths_G[group]))


def _batches_per_length(split: Split, batch_size: int) -> Int64Array:
    if batch_size < 1:
        raise ValueError(f"batch_size is at least 1, got {batch_size}")
    return -(-split.by_length.counts_G // batch_size)


def _batch_sizes(split: Split, batch_size: int, full: bool = False) -> Int64Array:
    """Sentences of each batch, by length: alike within a length, or `full` but for the last of it."""
    counts_G, batches_G = split.by_length.counts_G, _batches_per_length(split, batch_size)
    group_K = np.repeat(np.arange(batches_G.size), batches_G)
    place_K = np.arange(group_K.size) - (np.cumsum(batches_G) - batches_G)[group_K]
    left_K: Int64Array = counts_G[group_K] - place_K * batch_size
    if full:
        return left_K.clip(max=batch_size)
    return (counts_G // batches_G)[group_K] + (place_K < (counts_G % batches_G)[group_K])


def _cut(
    split: Split, order_N: Int64Array, batch_size: int, sizes_K: Int64Array, visits_K: Int64Array
) -> Iterator[Batch]:
    """Batches of `order_N`, which is sorted by length, in the order of `visits_K`."""
    ends_K = np.cumsum(sizes_K)
    starts, ends = (ends_K - sizes_K).tolist(), ends_K.tolist()
    lengths = np.repeat(split.by_length.lengths_G, _batches_per_length(split, batch_size)).tolist()
    return (_gather(split, order_N[starts[k] : ends[k]].copy(), lengths[k]) for k in visits_K.tolist())


def _gather(split: Split, indices_B: Int64Array, length: int) -> Batch:
    # Indexing with an array copies: the split's own arrays may be read-only views of shared memory.
    tokens_BT = split.tokens[split.offsets[indices_B][:, None] + np.arange(length)].astype(np.int64)
    labels_B = None if split.labels is None else torch.from_numpy(split.labels[indices_B].astype(np.int64))
    return Batch(torch.from_numpy(tokens_BT), labels_B, indices_B)
