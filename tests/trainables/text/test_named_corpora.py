"""The published corpora, each in small files of its own form."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from trainables.text.corpora import Corpus, CorpusError, Split, load_corpus
from trainables.text.named_corpora import PUBLISHED, NamedCorpus
from trainables.text.vocabulary import SPECIAL_WORDS

PTB = {
    "ptb.train.txt": " the cat sat on N mats \n <unk> saw the cat \n",
    "ptb.valid.txt": " the dog sat \n",
    "ptb.test.txt": " <unk> sat on N \n",
}
YAHOO = {
    "yahoo.train.txt": "what is _UNK ? it is a word .\nis it a word ?\n",
    "yahoo.valid.txt": "what is _UNK ?\n",
    "yahoo.test.txt": "it is .\n",
}
YELP = {
    "yelp.train.txt": "4\tgood _UNK .\n0\tbad food .\n",
    "yelp.valid.txt": "0\tbad _UNK .\n",
    "yelp.test.txt": "4\tfood .\n",
}
SNLI = {
    "snli_1.0_train.jsonl": [
        ("entailment", "( ( A dog ) ( is ( running . ) ) )"),
        ("-", "( Nobody knows )"),
        ("neutral", "( ( A ( big dog ) ) ( runs . ) )"),
    ],
    "snli_1.0_dev.jsonl": [("neutral", "( A cat )")],
    "snli_1.0_test.jsonl": [("entailment", "( The dog )")],
}


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def snli_files() -> dict[str, str]:
    def line(label: str, parse: str) -> str:
        record = {"gold_label": label, "sentence1": "A premise.", "sentence2_binary_parse": parse}
        return json.dumps(record) + "\n"

    return {name: "".join(line(*pair) for pair in pairs) for name, pairs in SNLI.items()}


def ids(split: Split) -> list[list[int]]:
    """Word ids of each sentence, without its marks."""
    bounds = zip(split.offsets[:-1], split.offsets[1:], strict=True)
    return [split.tokens[start + 1 : end - 1].tolist() for start, end in bounds]


def words(corpus: Corpus) -> tuple[str, ...]:
    assert corpus.vocabulary.words[:4] == SPECIAL_WORDS
    return corpus.vocabulary.words[4:]


def refusal(kind: str, folder: Path, **arguments: int | None) -> str:
    with pytest.raises(CorpusError) as caught:
        load_corpus(f"{kind}:{folder}", **arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- what is read ------------------------------------------------------------------------------------


def test_ptb_by_hand(tmp_path: Path) -> None:
    corpus = load_corpus(f"ptb:{write(tmp_path, PTB)}")
    assert (corpus.name, corpus.source) == ("ptb", f"ptb:{tmp_path}")
    assert words(corpus) == ("cat", "the", "N", "mats", "on", "sat", "saw")
    assert ids(corpus.train) == [[5, 4, 9, 8, 6, 7], [0, 10, 5, 4]]
    assert ids(corpus.valid) == [[5, 0, 9]]
    assert ids(corpus.test) == [[0, 9, 8, 6]]
    assert (corpus.train.labels, corpus.label_names) == (None, ())


def test_the_character_files_of_the_ptb_archive_do_not_matter(tmp_path: Path) -> None:
    digest = load_corpus(f"ptb:{write(tmp_path, PTB)}").digest
    write(tmp_path, {"ptb.char.train.txt": "t h e _ c a t\n", "README": "x\n", "vocab.txt": "the\n"})
    assert load_corpus(f"ptb:{tmp_path}").digest == digest


@pytest.mark.parametrize("labelled", [False, True])
def test_yahoo_by_hand(tmp_path: Path, labelled: bool) -> None:
    """`_UNK` is the unknown word, not a word of its own."""
    files = {name: "".join(f"7\t{line}\n" for line in text.splitlines()) for name, text in YAHOO.items()}
    corpus = load_corpus(f"yahoo:{write(tmp_path, files if labelled else YAHOO)}")
    assert words(corpus) == ("is", "?", "a", "it", "word", ".", "what")
    assert ids(corpus.train) == [[10, 4, 0, 5, 7, 4, 6, 8, 9], [4, 7, 6, 8, 5]]
    assert ids(corpus.valid) == [[10, 4, 0, 5]]
    assert corpus.label_names == (("7",) if labelled else ())


def test_yahoo_under_the_names_of_kim_et_al(tmp_path: Path) -> None:
    published = load_corpus(f"yahoo:{write(tmp_path / 'a', YAHOO)}")
    names = zip(("train.txt", "val.txt", "test.txt"), YAHOO.values(), strict=True)
    assert load_corpus(f"yahoo:{write(tmp_path / 'b', dict(names))}").digest == published.digest


def test_yelp_by_hand(tmp_path: Path) -> None:
    corpus = load_corpus(f"yelp:{write(tmp_path, YELP)}")
    assert words(corpus) == (".", "bad", "food", "good")
    assert ids(corpus.train) == [[7, 0, 4], [5, 6, 4]]
    assert corpus.label_names == ("0", "4")
    for split, labels in ((corpus.train, [1, 0]), (corpus.valid, [0]), (corpus.test, [1])):
        assert split.labels is not None
        assert split.labels.tolist() == labels


def test_snli_by_hand(tmp_path: Path) -> None:
    """Hypotheses in the words of their parses, lower-cased; the pair without a majority is left out."""
    corpus = load_corpus(f"snli:{write(tmp_path, snli_files())}")
    assert words(corpus) == (".", "a", "dog", "big", "is", "running", "runs")
    assert ids(corpus.train) == [[5, 6, 8, 9, 4], [5, 7, 6, 10, 4]]
    assert ids(corpus.valid) == [[5, 0]]
    assert ids(corpus.test) == [[0, 6]]
    assert corpus.label_names == ("entailment", "neutral")
    assert corpus.train.labels is not None
    assert corpus.train.labels.tolist() == [0, 1]


def test_snli_as_sentences(tmp_path: Path) -> None:
    files = {"snli.train.txt": " a dog \n a dog runs \n", "snli.valid.txt": " a \n", "snli.test.txt": " a \n"}
    corpus = load_corpus(f"snli:{write(tmp_path, files)}")
    assert words(corpus) == ("a", "dog", "runs")
    assert ids(corpus.train) == [[4, 5], [4, 5, 6]]


# -- vocabulary --------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["_UNK\n", "<pad>\n<s>\n</s>\n<unk>\n", "<pad>\n<s>\n</s>\n_UNK\n", ""])
@pytest.mark.parametrize("name", ["vocab.txt", "yahoo.vocab"])
def test_a_published_vocabulary_keeps_its_order(tmp_path: Path, head: str, name: str) -> None:
    listed = f"{head}?\nis\n.\nnever\nwhat\na\nword\n".replace("\n", "\r\n")
    corpus = load_corpus(f"yahoo:{write(tmp_path, YAHOO | {name: listed})}")
    assert words(corpus) == ("?", "is", ".", "never", "what", "a", "word")
    assert ids(corpus.train)[0] == [8, 5, 0, 4, 0, 5, 9, 10, 6]  # "it" is not listed


def test_a_published_vocabulary_is_kept_as_a_whole(tmp_path: Path) -> None:
    folder = write(tmp_path, YELP | {"vocab.txt": ".\nbad\nfood\ngood\nnever\n"})
    whole = load_corpus(f"yelp:{folder}", vocabulary_size=None)
    assert load_corpus(f"yelp:{folder}").digest == load_corpus(f"yelp:{folder}", vocabulary_size=9).digest
    assert len(whole.vocabulary) == 9
    assert refusal("yelp", folder, vocabulary_size=8) == (
        "the corpus is published with a vocabulary of 9 words, got vocabulary_size 8"
    )
    assert words(load_corpus(f"yelp:{folder}", max_sentences=2)) == words(whole)


def test_a_no_break_space_may_be_a_part_of_a_word(tmp_path: Path) -> None:
    folder = write(tmp_path, YELP | {"vocab.txt": ".\nbad\nfood\ngood\n5\u00a0$\n"})
    assert words(load_corpus(f"yelp:{folder}"))[-1] == "5\u00a0$"


@pytest.mark.parametrize("kind", PUBLISHED)
def test_the_usual_vocabulary(tmp_path: Path, kind: str) -> None:
    """The text of three corpora has no more words than were published; that of SNLI has all."""
    usual = NamedCorpus(kind, tmp_path).usual_vocabulary_size
    assert usual == (10_000 if kind == "snli" else None)


def test_a_limit_that_is_asked_for_holds(tmp_path: Path) -> None:
    corpus = load_corpus(f"ptb:{write(tmp_path, PTB)}", vocabulary_size=6)
    assert words(corpus) == ("cat", "the")
    assert ids(corpus.train) == [[5, 4, 0, 0, 0, 0], [0, 0, 5, 4]]


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (".\nbad\n\nbad\n", "the words of a vocabulary are distinct, got 'bad' as in line 2: FILE:4"),
        (".\nbad\t1\n", "a line of a vocabulary is one word, got 'bad\\t1': FILE:2"),
        (". 4\nbad 5\n", "a line of a vocabulary is one word, got '. 4': FILE:1"),
        (
            "one\n.\n",
            "a published vocabulary has at least half of the training words, got 3 of 8:"
            " FOLDER/yelp.train.txt",
        ),
    ],
)
def test_bad_vocabularies(tmp_path: Path, listed: str, message: str) -> None:
    files = YELP | {"yelp.train.txt": "4\tgood _UNK .\n0\tbad bad food food .\n", "vocab.txt": listed}
    expected = message.replace("FILE", f"{tmp_path}/vocab.txt").replace("FOLDER", str(tmp_path))
    assert refusal("yelp", write(tmp_path, files)) == expected


# -- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "content", "message"),
    [
        ("ptb", "ptb.test.txt", " a b \n\n The cat \n", "lower-case, numbers stand as N, got 'The': FILE:3"),
        ("ptb", "ptb.valid.txt", "x\ta\ny\tb\n", "a sentence without a label, got a tab: FILE:1"),
        ("ptb", "ptb.train.txt", "a b\nc\n", "stand as <unk> in the training text of ptb, got none: FILE"),
        ("ptb", "ptb.train.txt", b"a\n\xff\n", "UTF-8, got byte 0xff: FILE:2"),
        ("ptb", "ptb.train.txt", "<unk> <s>\na\n", "reserved and stand in no text, got <s>: FILE:1"),
        ("ptb", "ptb.train.txt", " <unk> a \n", "at least 2 sentences, got 1: FILE"),
        ("yahoo", "yahoo.train.txt", "a b\nc\n", "stand as _UNK in the training text of yahoo, got none"),
        ("yahoo", "yahoo.train.txt", "x\t_UNK\nx\ta\n", "label of yahoo is a whole number, got 'x': FILE:1"),
        ("yahoo", "yahoo.test.txt", "1\ta\n", "have labels or none has, got FILE with"),
        ("yelp", "yelp.train.txt", "\ngood _UNK .\nbad\n", "yelp is label<TAB>text, got no tab: FILE:2"),
        ("yelp", "yelp.test.txt", "4\ta\n4.5\tb\n", "label of yelp is a whole number, got '4.5': FILE:2"),
        ("yelp", "yelp.test.txt", "4\ta\n\n3\tb\n", "label of test occurs in train, got '3': FILE:3"),
        ("yelp", "yelp.test.txt", "4\ta\n0\t \n", "got an empty sentence: FILE:2"),
    ],
)
def test_another_form_is_refused(
    tmp_path: Path, kind: str, name: str, content: str | bytes, message: str
) -> None:
    files: Mapping[str, str] = {"ptb": PTB, "yahoo": YAHOO, "yelp": YELP}[kind]
    folder = write(tmp_path, {**files, name: content})
    assert message.replace("FILE", f"{tmp_path}/{name}") in refusal(kind, folder)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a sentence", "a JSON object, got Expecting value: line 1 column 1 (char 0): FILE:2"),
        ("[1]", "a JSON object, got list: FILE:2"),
        ('{"gold_label": "neutral"}', "text under 'sentence2_binary_parse', got None: FILE:2"),
        ('{"gold_label": 1, "sentence2_binary_parse": "( a )"}', "text under 'gold_label', got 1: FILE:2"),
        (
            '{"gold_label": "yes", "sentence2_binary_parse": "( a )"}',
            "one of contradiction, entailment, neutral, -, got 'yes': FILE:2",
        ),
        ('{"gold_label": "neutral", "sentence2_binary_parse": "( )"}', "got an empty sentence: FILE:2"),
    ],
)
def test_another_form_of_snli_is_refused(tmp_path: Path, line: str, message: str) -> None:
    folder = write(tmp_path, snli_files())
    file = folder / "snli_1.0_dev.jsonl"
    file.write_text(file.read_text() + line + "\n")
    assert message.replace("FILE", str(file)) in refusal("snli", folder)


def test_snli_needs_a_pair_on_which_the_annotators_agree(tmp_path: Path) -> None:
    folder = write(tmp_path, snli_files())
    file = folder / "snli_1.0_test.jsonl"
    file.write_text('{"gold_label": "-", "sentence2_binary_parse": "( a )"}\n')
    assert refusal("snli", folder) == f"a corpus file holds at least one sentence, got none: {file}"


def test_a_folder_that_is_another(tmp_path: Path) -> None:
    files = "ptb.train.txt, ptb.valid.txt and ptb.test.txt"
    assert refusal("ptb", tmp_path) == f"ptb is a folder with {files}, got none of them: {tmp_path}"
    assert refusal("ptb", tmp_path / "x").endswith(f"got a path that does not exist: {tmp_path}/x")
    write(tmp_path, YAHOO | {"ptb.test.txt": "a\n"})
    assert refusal("ptb", tmp_path).endswith(f"got ptb.test.txt: {tmp_path}")
    assert refusal("ptb", tmp_path / "ptb.test.txt").endswith(f"got a file: {tmp_path}/ptb.test.txt")
    assert refusal("snli", tmp_path) == (
        "snli is a folder with snli_1.0_train.jsonl, snli_1.0_dev.jsonl and snli_1.0_test.jsonl,"
        f" or snli.train.txt, snli.valid.txt and snli.test.txt, got none of them: {tmp_path}"
    )
    write(tmp_path, {"train.txt": "a\n", "val.txt": "a\n", "test.txt": "a\n"})
    assert refusal("yahoo", tmp_path).endswith(
        "got yahoo.train.txt and yahoo.valid.txt and yahoo.test.txt"
        f" and train.txt and val.txt and test.txt: {tmp_path}"
    )
