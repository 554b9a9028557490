"""Sentences as they were read: what is refused at once, and what is held out."""

from collections.abc import Sequence

import pytest

from trainables.text.raw_text import Text, Texts
from trainables.text.splits import CorpusError


def numbered(count: int) -> Text:
    return Text("a.txt", [[f"w{i}"] for i in range(count)], [str(i) for i in range(count)], range(count))


@pytest.mark.parametrize(
    ("sentences", "labels", "message"),
    [
        ([], None, "a corpus file holds at least one sentence, got none: a.txt"),
        ([["a"], []], None, "a sentence has words, got an empty sentence: a.txt:7"),
        ([["a"], []], ["x", "y"], "a labelled line is label<TAB>sentence, got an empty sentence: a.txt:7"),
        ([["a"], ["b"]], ["x", ""], "a labelled line is label<TAB>sentence, got an empty label: a.txt:7"),
        (
            [["a"], ["b", "<pad>"]],
            None,
            "<s>, </s> and <pad> are reserved and stand in no text, got <pad>: a.txt:7",
        ),
    ],
)
def test_a_text_is_checked(
    sentences: Sequence[Sequence[str]], labels: Sequence[str] | None, message: str
) -> None:
    with pytest.raises(CorpusError) as caught:
        Text("a.txt", sentences, labels, [5, 7])
    assert str(caught.value) == message


@pytest.mark.parametrize("parts", [1, 2])
def test_what_is_held_out_is_a_tenth_each(parts: int) -> None:
    whole = numbered(40)
    split = whole.hold_out(parts, seed=3)
    assert [len(text) for text in split] == [40 - 4 * parts, *[4] * parts]
    assert sorted(line for text in split for line in text.lines) == list(range(40))
    for text in split:
        assert list(text.lines) == sorted(text.lines)
        assert text.labels == [str(line) for line in text.lines]
        assert text.where(0) == f"a.txt:{text.lines[0]}"
    assert [text.lines for text in whole.hold_out(parts, seed=3)] == [text.lines for text in split]
    assert [text.lines for text in whole.hold_out(parts, seed=4)] != [text.lines for text in split]


def test_splits_agree_on_labels() -> None:
    labelled, plain = numbered(3), Text("b.txt", [["a"]], None, [1])
    assert Texts(labelled, labelled, labelled).vocabulary is None
    with pytest.raises(CorpusError, match=r"got a\.txt with and b\.txt without"):
        Texts(labelled, labelled, plain)
    with pytest.raises(CorpusError, match=r"at least 2 sentences, got 1: b\.txt"):
        Texts(plain, plain, plain)


def text(*sentences: str, dropped: int = 0) -> Text:
    return Text("t", [sentence.split() for sentence in sentences], None, range(len(sentences)), dropped)


def test_copies_are_left_in_the_last_split_alone() -> None:
    texts = Texts(text("a", "b", "c", "c", "d"), text("b", "e"), text("a", "e", "f"))
    assert texts.notes() == (
        "33 % of the test sentences stand in train too, which flatters every model;"
        " deduplicate: true leaves them in test alone",
    )
    alone = texts.deduplicated()
    assert [part.sentences for part in (alone.train, alone.valid, alone.test)] == [
        [["c"], ["c"], ["d"]], [["b"]], [["a"], ["e"], ["f"]],
    ]  # fmt: skip
    assert alone.notes() == ()
    assert alone.train.lines == [2, 3, 4]


def test_dropped_rows_are_counted() -> None:
    texts = Texts(text("a", "b", dropped=1_000), text("c"), text("d", dropped=2))
    assert texts.notes() == ("rows left out, blank or without a label: 1,002",)
