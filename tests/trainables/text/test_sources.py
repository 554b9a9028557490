"""What names a corpus, and what does not."""

from pathlib import Path

import pytest

from trainables.text.corpora import load_corpus
from trainables.text.named_corpora import NAMED_KINDS, NamedCorpus
from trainables.text.sources import CorpusSource, Embedded, PlainText, parse_source
from trainables.text.splits import CorpusError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "source", "name"),
    [
        ("embedded", Embedded(), "embedded"),
        ("./embedded", PlainText(Path("FOLDER/embedded")), "embedded"),
        ("data/reviews.v2.txt", PlainText(Path("FOLDER/data/reviews.v2.txt")), "reviews.v2"),
        ("~/reviews", PlainText(Path("FOLDER/home/reviews")), "reviews"),
        ("12:30", PlainText(Path("FOLDER/12:30")), "12:30"),
        ("ptb:data/ptb", NamedCorpus("ptb", Path("FOLDER/data/ptb")), "ptb"),
        ("yahoo:~/data", NamedCorpus("yahoo", Path("FOLDER/home/data")), "yahoo"),
        ("snli:/", NamedCorpus("snli", Path("/")), "snli"),
    ],
)
def test_a_source_reads_back_equal(folder: Path, text: str, source: CorpusSource, name: str) -> None:
    found = parse_source(text, NAMED_KINDS)
    assert repr(found) == repr(source).replace("FOLDER", str(folder))
    assert found.name == name
    assert parse_source(str(found), NAMED_KINDS) == found


def test_a_folder_gives_its_whole_name(folder: Path) -> None:
    (folder / "yelp.v2").mkdir()
    assert PlainText(Path("yelp.v2")).name == "yelp.v2"
    assert PlainText(Path(".")).name == folder.name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "pbt:data",
            "corpus must be embedded, a path, or begin with one of ptb:, yahoo:, yelp:, snli:,"
            " got 'pbt:data'",
        ),
        ("ptb:", "a folder stands behind ptb:, such as ptb:data/ptb, got none"),
    ],
)
def test_what_names_no_corpus(text: str, message: str) -> None:
    with pytest.raises(CorpusError) as caught:
        parse_source(text, NAMED_KINDS)
    assert str(caught.value) == message


def test_a_path_that_exists_may_look_like_a_kind(folder: Path) -> None:
    (folder / "pbt:data").touch()
    assert parse_source("pbt:data", NAMED_KINDS) == PlainText(folder / "pbt:data")


def test_training_alone_reads_no_dataset() -> None:
    with pytest.raises(CorpusError, match=r"orchestrator.sweep` and .* alone, got 'datasets:x'"):
        load_corpus("datasets:x")
