import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.text.vocabulary import END, PAD, SPECIAL_WORDS, START, UNK, Vocabulary

WORDS = st.text(alphabet="abcdefgh", min_size=1, max_size=3)
SENTENCES = st.lists(st.lists(WORDS, max_size=8), max_size=12)


def test_most_frequent_words_come_first_and_ties_are_alphabetical() -> None:
    sentences = [["b", "a", "c"], ["c", "b", "c", "d"]]
    assert Vocabulary.build(sentences, None).words == ("<unk>", "<pad>", "<s>", "</s>", "c", "b", "a", "d")
    assert Vocabulary.build(sentences, 6).words == ("<unk>", "<pad>", "<s>", "</s>", "c", "b")
    assert Vocabulary.build([sentence[::-1] for sentence in sentences[::-1]], 7).words[4:] == ("c", "b", "a")


def test_special_words_have_the_ids_that_the_models_use() -> None:
    vocabulary = Vocabulary.build([["x"]], None)
    assert vocabulary.encode(SPECIAL_WORDS) == [UNK, PAD, START, END] == [0, 1, 2, 3]


def test_a_literal_unk_is_not_counted_as_a_word() -> None:
    vocabulary = Vocabulary.build([["<unk>", "<unk>", "a"]], None)
    assert vocabulary.words == (*SPECIAL_WORDS, "a")
    assert vocabulary.encode(["<unk>", "a", "never"]) == [0, 4, 0]


def test_size_caps_the_total() -> None:
    assert len(Vocabulary.build([["a", "b", "c"]], 5)) == 5
    assert len(Vocabulary.build([["a", "b", "c"]], 500)) == 7
    with pytest.raises(ValueError, match=r"at least 5 .*, got 4"):
        Vocabulary.build([["a"]], 4)


@settings(deadline=None)
@given(SENTENCES)
def test_known_words_survive_a_round_trip(sentences: list[list[str]]) -> None:
    vocabulary = Vocabulary.build(sentences, None)
    for sentence in sentences:
        assert vocabulary.decode(vocabulary.encode(sentence)) == sentence
    ids = list(range(len(vocabulary)))
    assert vocabulary.encode(vocabulary.decode(ids)) == ids


@settings(deadline=None)
@given(SENTENCES, st.integers(5, 20))
def test_a_capped_vocabulary_is_a_prefix_of_the_full_one(sentences: list[list[str]], size: int) -> None:
    full, capped = Vocabulary.build(sentences, None), Vocabulary.build(sentences, size)
    assert capped.words == full.words[:size]
    for sentence in sentences:
        pairs = zip(full.encode(sentence), capped.encode(sentence), strict=True)
        assert all(short == (long if long < size else UNK) for long, short in pairs)


@pytest.mark.parametrize("index", [-1, 5])
def test_decode_refuses_ids_outside_the_vocabulary(index: int) -> None:
    with pytest.raises(ValueError, match=f"lies in 0 … 4, got {index}"):
        Vocabulary.build([["a"]], None).decode([index])


def test_words_are_checked() -> None:
    with pytest.raises(ValueError, match="begins with"):
        Vocabulary(("a", "b"))
    with pytest.raises(ValueError, match="distinct, got 'a' 2 times"):
        Vocabulary((*SPECIAL_WORDS, "a", "b", "a"))
