from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.text.batches import (
    Batch,
    alone,
    count_batches,
    evaluation_batches,
    random_batch,
    training_batches,
)
from trainables.text.splits import Split
from trainables.text.vocabulary import END, START

LENGTHS = st.lists(st.integers(0, 6), min_size=1, max_size=60)
BATCH_SIZES = st.integers(1, 20)
SEEDS = st.integers(0, 2**32 - 1)


def make_split(lengths: Sequence[int], labelled: bool = True) -> Split:
    """Sentence i consists of the word 10 + i, so that a batch shows which sentences it holds."""
    labels = [number % 3 for number in range(len(lengths))] if labelled else None
    return Split.from_ids([[10 + number] * length for number, length in enumerate(lengths)], labels)


def freeze(split: Split) -> Split:
    """As the split comes out of shared memory."""
    for array in (split.tokens, split.offsets, split.labels):
        if array is not None:
            array.flags.writeable = False
    return split


def check_content(split: Split, batch: Batch) -> None:
    assert batch.tokens_BT.dtype == torch.int64
    for row, number in zip(batch.tokens_BT.tolist(), batch.indices_B.tolist(), strict=True):
        assert row == split.tokens[split.offsets[number] : split.offsets[number + 1]].tolist()
        assert (row[0], row[-1]) == (START, END)
    if split.labels is None:
        assert batch.labels_B is None
    else:
        assert batch.labels_B is not None
        assert batch.labels_B.dtype == torch.int64
        assert batch.labels_B.tolist() == split.labels[batch.indices_B].tolist()


def membership(batches: Sequence[Batch]) -> set[frozenset[int]]:
    return {frozenset(batch.indices_B.tolist()) for batch in batches}


@settings(deadline=None)
@given(LENGTHS, BATCH_SIZES, SEEDS, st.booleans())
def test_an_epoch_holds_every_sentence_once_in_batches_of_equal_length(
    lengths: list[int], batch_size: int, seed: int, labelled: bool
) -> None:
    split = freeze(make_split(lengths, labelled))
    for batches in (
        list(training_batches(split, batch_size, np.random.default_rng(seed))),
        list(evaluation_batches(split, batch_size)),
    ):
        assert len(batches) == count_batches(split, batch_size)
        assert sorted(np.concatenate([batch.indices_B for batch in batches])) == list(range(len(split)))
        for batch in batches:
            assert 1 <= len(batch.indices_B) <= batch_size
            assert len({lengths[number] for number in batch.indices_B}) == 1
            check_content(split, batch)


@settings(deadline=None)
@given(LENGTHS, BATCH_SIZES)
def test_batches_of_one_length_differ_in_size_by_at_most_one(lengths: list[int], batch_size: int) -> None:
    sizes: dict[int, list[int]] = {}
    for batch in evaluation_batches(make_split(lengths), batch_size):
        sizes.setdefault(batch.tokens_BT.shape[1], []).append(len(batch.indices_B))
    for length, found in sizes.items():
        count = lengths.count(length - 2)
        assert len(found) == -(-count // batch_size)
        assert max(found) - min(found) <= 1


def test_sizes_by_hand() -> None:
    split = make_split([3] * 33 + [5] * 7 + [4])
    assert count_batches(split, 32) == 4
    shapes = [tuple(batch.tokens_BT.shape) for batch in evaluation_batches(split, 32)]
    assert shapes == [(17, 5), (16, 5), (1, 6), (7, 7)]
    assert [batch.indices_B.tolist() for batch in evaluation_batches(split, 32)][2:] == [
        [40],
        list(range(33, 40)),
    ]


def test_evaluation_batches_are_always_the_same() -> None:
    split = make_split([2, 3] * 40)
    first, second = ([batch.indices_B.tolist() for batch in evaluation_batches(split, 8)] for _ in range(2))
    assert first == second


def test_membership_and_order_follow_the_generator() -> None:
    split = make_split([2, 3, 4, 5] * 50)
    rng = np.random.default_rng(1)
    first, second = list(training_batches(split, 8, rng)), list(training_batches(split, 8, rng))
    again = list(training_batches(split, 8, np.random.default_rng(1)))
    other = list(training_batches(split, 8, np.random.default_rng(2)))
    assert [b.indices_B.tolist() for b in first] == [b.indices_B.tolist() for b in again]
    assert not membership(first) & membership(second)
    assert not membership(first) & membership(other)
    lengths_first, lengths_second = ([b.tokens_BT.shape[1] for b in epoch] for epoch in (first, second))
    assert sorted(lengths_first) == sorted(lengths_second)
    assert lengths_first != lengths_second
    assert lengths_first != sorted(lengths_first)


def test_draws_are_made_in_the_call() -> None:
    split = make_split([2, 3] * 20)
    rng = np.random.default_rng(5)
    epoch = training_batches(split, 4, rng)
    for _ in range(7):
        random_batch(split, 4, rng)
    expected = training_batches(split, 4, np.random.default_rng(5))
    assert [b.indices_B.tolist() for b in epoch] == [b.indices_B.tolist() for b in expected]


@settings(deadline=None)
@given(LENGTHS, BATCH_SIZES, SEEDS)
def test_a_random_batch_could_be_of_an_epoch(lengths: list[int], batch_size: int, seed: int) -> None:
    split = freeze(make_split(lengths))
    possible = {tuple(batch.tokens_BT.shape) for batch in evaluation_batches(split, batch_size)}
    batch, again = (random_batch(split, batch_size, np.random.default_rng(seed)) for _ in range(2))
    check_content(split, batch)
    assert tuple(batch.tokens_BT.shape) in possible
    assert len(set(batch.indices_B.tolist())) == len(batch.indices_B)
    assert batch.indices_B.tolist() == again.indices_B.tolist()


def test_random_batches_are_uniform_over_the_batches_of_an_epoch() -> None:
    # Batches of 4: length 3 gives 3 + 2, length 5 gives 4 + 4 + 4, length 7 gives 1; each has chance 1/6.
    split = make_split([1] * 5 + [3] * 12 + [5])
    rng, draws = np.random.default_rng(0), 12_000
    shapes: Counter[tuple[int, ...]] = Counter()
    sentences: Counter[int] = Counter()
    for _ in range(draws):
        batch = random_batch(split, 4, rng)
        shapes[tuple(batch.tokens_BT.shape)] += 1
        sentences.update(batch.indices_B.tolist())
    expected_shapes = {(3, 3): 1 / 6, (2, 3): 1 / 6, (4, 5): 3 / 6, (1, 7): 1 / 6}
    assert set(shapes) == set(expected_shapes)
    for shape, probability in expected_shapes.items():
        assert shapes[shape] / draws == pytest.approx(probability, abs=0.02)
    for number in range(18):  # Every sentence stands in exactly one of the six batches.
        assert sentences[number] / draws == pytest.approx(1 / 6, abs=0.02)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_repeated_batch_has_all_sentences_again(labelled: bool) -> None:
    batch = next(iter(evaluation_batches(make_split([3, 3], labelled), 4)))
    again = batch.repeat(3)
    assert again.tokens_BT.tolist() == batch.tokens_BT.tolist() * 3
    assert again.indices_B.tolist() == [0, 1] * 3
    assert (again.labels_B.tolist() if again.labels_B is not None else None) == (
        [0, 1] * 3 if labelled else None
    )


@given(LENGTHS, SEEDS, st.booleans())
def test_some_sentences_of_a_split_in_any_order(lengths: list[int], seed: int, labelled: bool) -> None:
    split = make_split(lengths, labelled)
    chosen_N = np.random.default_rng(seed).permutation(len(split))[: 1 + seed % len(split)]
    taken = split.take(chosen_N)
    assert taken.lengths.tolist() == [lengths[number] + 2 for number in chosen_N]
    for place, number in enumerate(chosen_N):
        own = taken.tokens[taken.offsets[place] : taken.offsets[place + 1]].tolist()
        assert own == split.tokens[split.offsets[number] : split.offsets[number + 1]].tolist()
        if labelled:
            assert taken.labels is not None
            assert taken.labels[place] == number % 3
    assert (taken.labels is None) == (not labelled)


def test_batches_do_not_share_memory_with_the_split() -> None:
    split = make_split([2, 2])
    for batch in evaluation_batches(split, 2):
        batch.tokens_BT.zero_()
        batch.indices_B[:] = 0
    assert split.tokens.tolist() == [2, 10, 10, 3, 2, 11, 11, 3]
    assert split.by_length.order_N.tolist() == [0, 1]


@pytest.mark.parametrize("batch_size", [0, -3])
def test_batch_size_is_checked_in_the_call(batch_size: int) -> None:
    split, rng = make_split([1, 2]), np.random.default_rng(0)
    with pytest.raises(ValueError, match=f"batch_size is at least 1, got {batch_size}"):
        count_batches(split, batch_size)
    with pytest.raises(ValueError, match=f"batch_size is at least 1, got {batch_size}"):
        evaluation_batches(split, batch_size)
    with pytest.raises(ValueError, match=f"batch_size is at least 1, got {batch_size}"):
        training_batches(split, batch_size, rng)
    with pytest.raises(ValueError, match=f"batch_size is at least 1, got {batch_size}"):
        random_batch(split, batch_size, rng)


def test_sentences_that_are_a_batch_by_themselves() -> None:
    split = Split.from_ids([[5] * length for length in [1, 2, 2, 3, 3, 3, 4, 4, 4, 4]], None)
    for size, expected in ((1, 10), (2, 2), (3, 1), (4, 1)):
        assert alone(split, size) == expected
        batches = training_batches(split, size, np.random.default_rng(0))
        assert sum(len(batch.tokens_BT) == 1 for batch in batches) == expected
