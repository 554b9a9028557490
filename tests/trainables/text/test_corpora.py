import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.paths import CORPORA
from trainables.text.corpora import Corpus, CorpusError, Split, load_corpus
from trainables.text.vocabulary import SPECIAL_WORDS

YELP = CORPORA / "yelp_sentences"
PLAIN = {"train.txt": "a b a\nb c\n", "valid.txt": "a d\n", "test.txt": "c\n"}
LABELLED = {"train.txt": "pos\ta b\nneg\tc\npos\ta\n", "valid.txt": "pos\tb\n", "test.txt": "neg\ta\n"}


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def words_of(corpus: Corpus, split: Split) -> list[str]:
    """Sentences with their marks."""
    bounds = zip(split.offsets[:-1], split.offsets[1:], strict=True)
    return [" ".join(corpus.vocabulary.decode(split.tokens[start:end].tolist())) for start, end in bounds]


def assert_refused(path: Path | str | None, *parts: str, **arguments: int) -> None:
    with pytest.raises(CorpusError) as error:
        load_corpus(path, **arguments)
    message = str(error.value)
    assert len(message.splitlines()) <= 2
    for part in parts:
        assert part in message


def test_plain_folder_by_hand(tmp_path: Path) -> None:
    corpus = load_corpus(write(tmp_path, PLAIN))
    assert (corpus.name, corpus.source) == (tmp_path.name, str(tmp_path))
    assert corpus.vocabulary.words == (*SPECIAL_WORDS, "a", "b", "c")
    assert corpus.train.tokens.tolist() == [2, 4, 5, 4, 3, 2, 5, 6, 3]
    assert corpus.train.offsets.tolist() == [0, 5, 9]
    assert corpus.train.lengths.tolist() == [5, 4]
    assert corpus.train.words == 7  # 5 words and 2 × </s>
    assert len(corpus.train) == 2
    assert corpus.valid.tokens.tolist() == [2, 4, 0, 3]  # "d" is not in train
    assert corpus.test.tokens.tolist() == [2, 6, 3]
    assert corpus.train.tokens.dtype == np.int32
    assert corpus.train.offsets.dtype == np.int64
    assert (corpus.train.labels, corpus.label_names, corpus.entropy_floor) == (None, (), None)


def test_labelled_folder_by_hand(tmp_path: Path) -> None:
    corpus = load_corpus(write(tmp_path, LABELLED))
    assert corpus.label_names == ("neg", "pos")
    for split, labels in ((corpus.train, [1, 0, 1]), (corpus.valid, [1]), (corpus.test, [0])):
        assert split.labels is not None
        assert split.labels.dtype == np.int32
        assert split.labels.tolist() == labels
    assert words_of(corpus, corpus.train) == ["<s> a b </s>", "<s> c </s>", "<s> a </s>"]


def test_blank_lines_bom_crlf_and_outer_spaces_do_not_matter(tmp_path: Path) -> None:
    plain = load_corpus(write(tmp_path, PLAIN))
    dressed = {
        "train.txt": b"\xef\xbb\xbf a  b a \r\n\r\n   \r\nb c",
        "valid.txt": b"a d\r\n",
        "test.txt": b"c\n\n",
    }
    assert load_corpus(write(tmp_path, dressed)).digest == plain.digest


def test_only_line_feeds_end_a_sentence(tmp_path: Path) -> None:
    corpus = load_corpus(write(tmp_path, {**PLAIN, "train.txt": "a\u2028b\x0bc\nd é\u00a0f\n"}))
    assert words_of(corpus, corpus.train) == ["<s> a b c </s>", "<s> d é f </s>"]


def test_a_literal_unk_is_the_unknown_word(tmp_path: Path) -> None:
    corpus = load_corpus(write(tmp_path, PLAIN | {"train.txt": "a <unk>\nb <unk>\n"}))
    assert corpus.train.tokens.tolist() == [2, 4, 0, 3, 2, 5, 0, 3]


def test_vocabulary_size_caps_the_training_words(tmp_path: Path) -> None:
    folder = write(tmp_path, PLAIN)
    corpus = load_corpus(folder, vocabulary_size=5)
    assert corpus.vocabulary.words == (*SPECIAL_WORDS, "a")
    assert corpus.train.tokens.tolist() == [2, 4, 0, 4, 3, 2, 0, 0, 3]
    assert load_corpus(folder, vocabulary_size=None).digest == load_corpus(folder).digest != corpus.digest


@settings(deadline=None, max_examples=40)
@given(st.integers(4, 120), st.integers(0, 1000))
def test_a_single_file_is_split_without_overlap_or_loss(
    tmp_path_factory: pytest.TempPathFactory, count: int, seed: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "numbers.txt"
    path.write_text("".join(f"w{number} w\n" for number in range(count)))
    corpus = load_corpus(path, seed=seed, vocabulary_size=None)
    tenth = max(1, count // 10)
    assert [len(s) for s in (corpus.train, corpus.valid, corpus.test)] == [count - 2 * tenth, tenth, tenth]
    assert len(corpus.vocabulary) == 4 + 1 + count - 2 * tenth
    train = set(words_of(corpus, corpus.train))
    assert len(train) == count - 2 * tenth
    assert words_of(corpus, corpus.valid) == ["<s> <unk> w </s>"] * tenth  # none of these words is in train
    assert words_of(corpus, corpus.test) == ["<s> <unk> w </s>"] * tenth


def test_the_split_of_a_single_file_follows_the_seed(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("".join(f"w{number % 10} x{number // 10}\n" for number in range(100)))
    one, again, other = (load_corpus(path, seed=seed) for seed in (1, 1, 2))
    sentences = [words_of(one, split) for split in (one.train, one.valid, one.test)]
    everything = [sentence for part in sentences for sentence in part]
    assert [len(part) for part in sentences] == [80, 10, 10]
    assert len(set(everything)) == 100
    assert one.digest == again.digest != other.digest
    assert one.name == "text"


def test_max_sentences_keeps_a_random_part_in_the_order_of_the_file(tmp_path: Path) -> None:
    lines = [f"{'ab'[number % 2]}\tw{number}\n" for number in range(200)]
    folder = write(tmp_path, {f"{name}.txt": "".join(lines) for name in ("train", "valid", "test")})
    full = load_corpus(folder)
    corpus, again, other = (load_corpus(folder, max_sentences=50, seed=seed) for seed in (0, 0, 1))
    assert [len(split) for split in (corpus.train, corpus.valid, corpus.test)] == [50, 5, 5]
    kept = words_of(corpus, corpus.train)
    assert len(corpus.vocabulary) == 54
    assert [sentence for sentence in words_of(full, full.train) if sentence in kept] == kept
    assert kept != words_of(full, full.train)[:50]
    assert corpus.train.labels is not None
    assert corpus.train.labels.tolist() == [int(sentence.split()[1][1:]) % 2 for sentence in kept]
    assert corpus.digest == again.digest != other.digest
    assert load_corpus(folder, max_sentences=200).train.tokens.tolist() == full.train.tokens.tolist()
    tiny = load_corpus(folder, max_sentences=2)
    assert [len(split) for split in (tiny.train, tiny.valid, tiny.test)] == [2, 1, 1]
    assert tiny.label_names == ("a", "b")  # the names are those of the whole file


def test_nothing_gives_the_embedded_corpus() -> None:
    corpus = load_corpus(None)
    assert corpus.name == "embedded"
    assert corpus.entropy_floor == pytest.approx(11.9545, abs=1e-4)
    small = load_corpus(None, max_sentences=100, seed=0)
    assert [len(split) for split in (small.train, small.valid, small.test)] == [100, 10, 10]
    assert small.train.tokens.tolist() == corpus.train.tokens[: small.train.tokens.size].tolist()
    assert small.vocabulary == corpus.vocabulary
    assert len(load_corpus(None, max_sentences=100_000).train) == 1400
    assert load_corpus(None, seed=1).digest != corpus.digest
    assert_refused(None, "vocabulary of 127", "got vocabulary_size 126", vocabulary_size=126)
    assert load_corpus(None, vocabulary_size=127).digest == corpus.digest


def test_the_digest_sees_every_part(tmp_path: Path) -> None:
    corpus = load_corpus(write(tmp_path, LABELLED))
    again = load_corpus(tmp_path)
    assert re.fullmatch("[0-9a-f]{16}", corpus.digest)
    assert corpus.digest == again.digest
    assert corpus.digest == pickle.loads(pickle.dumps(corpus)).digest
    train, labels = corpus.train, corpus.train.labels
    assert labels is not None
    changed = [
        replace(corpus, train=Split(train.tokens[::-1].copy(), train.offsets, labels)),
        replace(corpus, train=Split(train.tokens, np.array([0, 3, 7, 10]), labels)),
        replace(corpus, train=Split(train.tokens, train.offsets, labels[::-1].copy() + np.int32(1))),
        replace(corpus, train=Split(train.tokens, train.offsets, None)),
        replace(corpus, valid=corpus.test, test=corpus.valid),
        replace(corpus, vocabulary=load_corpus(None).vocabulary),
    ]
    assert len({corpus.digest, *(other.digest for other in changed)}) == 7


def test_paths_are_checked(tmp_path: Path) -> None:
    assert_refused(tmp_path / "nowhere", "does not exist", f"{tmp_path}/nowhere")
    assert_refused(tmp_path, "one file for train", "got none")
    assert_refused("/dev/null", "a folder or a text file, got neither: /dev/null")


@pytest.mark.parametrize(("method", "where"), [("iterdir", ""), ("read_bytes", "/train.txt")])
def test_what_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, where: str
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, method, refuse)
    assert_refused(write(tmp_path, PLAIN), "can be read, got 'Permission denied'", f": {tmp_path}{where}")


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("train.txt", "a b\n", ["train has at least 2 sentences, got 1", "train.txt"]),
        ("train.txt", "x\ta\ny\tb\n", ["have labels or none has", "train.txt with", "valid.txt without"]),
        ("test.txt", "x\ta\n", ["have labels or none has", "test.txt with", "train.txt without"]),
        ("train.txt", "<unk>\n<unk> <unk>\n", ["a word other than <unk>, got none", "train.txt"]),
        ("test.txt", "a\nb <s>\n", ["got <s>", "test.txt:2"]),
    ],
)
def test_bad_splits_are_refused(tmp_path: Path, name: str, content: str, parts: Sequence[str]) -> None:
    assert_refused(write(tmp_path, {**PLAIN, name: content}), *parts)


@pytest.mark.parametrize("name", ["valid", "test"])
def test_labels_are_those_of_train(tmp_path: Path, name: str) -> None:
    content = "pos\ta\n\nodd\tb\n"
    folder = write(tmp_path, LABELLED | {f"{name}.txt": content})
    assert_refused(folder, f"label of {name} occurs in train, got 'odd'", f"{name}.txt:3")


def test_a_single_file_needs_four_sentences(tmp_path: Path) -> None:
    path = write(tmp_path, {"text.txt": "a\nb\nc\n"}) / "text.txt"
    assert_refused(path, "at least 4 sentences, got 3", "text.txt")
    path.write_text("a\nb\nc\nd\n")
    corpus = load_corpus(path)
    assert [len(split) for split in (corpus.train, corpus.valid, corpus.test)] == [2, 1, 1]


@pytest.mark.parametrize("embedded", [True, False])
def test_arguments_are_checked(tmp_path: Path, embedded: bool) -> None:
    path = None if embedded else write(tmp_path, PLAIN)
    assert_refused(path, "vocabulary_size is at least 5", "got 4", vocabulary_size=4)
    assert_refused(path, "max_sentences is at least 2", "got 1", max_sentences=1)
    assert_refused(path, "seed is not negative", "got -1", seed=-1)


@pytest.mark.skipif(not YELP.is_dir(), reason="the Yelp sentences are not here")
def test_yelp_sentences() -> None:
    corpus = load_corpus(YELP)
    assert [len(split) for split in (corpus.train, corpus.valid, corpus.test)] == [126_670, 10_000, 10_000]
    assert len(corpus.vocabulary) == 9_081 + 4
    assert corpus.train.words - len(corpus.train) == 1_129_008
    assert corpus.train.lengths.max() == 15 + 2
    assert corpus.label_names == ("0", "1")
    assert corpus.train.labels is not None
    first = (YELP / "yelp_sentences.train.txt").read_text().splitlines()[0].split("\t")
    assert words_of(corpus, corpus.train)[0] == f"<s> {first[1]} </s>"
    assert corpus.label_names[corpus.train.labels[0]] == first[0]
