"""The corpora of the papers in the forms in which they are published; docs/corpora.md describes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from trainables.text.raw_text import Text, Texts
from trainables.text.reading import read_lines, read_text_file
from trainables.text.snli import FILES as SNLI_FILES
from trainables.text.snli import read_snli
from trainables.text.sources import CorpusSource, TextSource, absolute
from trainables.text.splits import CorpusError
from trainables.text.vocabulary import SPECIAL_WORDS, UNK

_UNKNOWN = SPECIAL_WORDS[UNK]


@dataclass(frozen=True)
class Layout:
    """Names of the train, valid and test file, and how to read each."""

    files: tuple[str, str, str]
    read: Callable[[Path], Text]

    def found(self, folder: Path) -> list[str]:
        return [name for name in self.files if (folder / name).is_file()]

    def __str__(self) -> str:
        return "{}, {} and {}".format(*self.files)


@dataclass(frozen=True)
class Published:
    """What is known of a corpus.

    Args:
        layouts: the forms; a folder has one of them.
        unknown: what stands in the text for rare words; None where the text has all words.
        usual_vocabulary_size: None keeps all words, where the text itself has no others.
        vocabulary_files: what a file with the vocabulary, a word a line, is called where there is one.
    """

    layouts: tuple[Layout, ...]
    unknown: str | None
    usual_vocabulary_size: int | None = None
    vocabulary_files: tuple[str, ...] = ()


@dataclass(frozen=True)
class NamedCorpus(TextSource):
    """A corpus of `PUBLISHED` in a folder of the user."""

    kind: str
    folder: Path

    @property
    def name(self) -> str:
        return self.kind

    def __str__(self) -> str:
        return f"{self.kind}:{self.folder}"

    @property
    def usual_vocabulary_size(self) -> int | None:
        return PUBLISHED[self.kind].usual_vocabulary_size

    def read(self, seed: int) -> Texts:
        published, layout = PUBLISHED[self.kind], self._layout()
        train, valid, test = (
            _with_unknown(layout.read(self.folder / name), published.unknown) for name in layout.files
        )
        if published.unknown and not any(_UNKNOWN in words for words in train.sentences):
            raise CorpusError(
                f"rare words stand as {published.unknown} in the training text of {self.kind}, got none:"
                f" {train.place} (give any other text as a plain path)"
            )
        return Texts(train, valid, test, self._vocabulary(published))

    def _layout(self) -> Layout:
        layouts = PUBLISHED[self.kind].layouts
        if not self.folder.is_dir():
            problem = "a file" if self.folder.exists() else "a path that does not exist"
        else:
            complete = [layout for layout in layouts if len(layout.found(self.folder)) == 3]
            if len(complete) == 1:
                return complete[0]
            present = [name for layout in layouts for name in layout.found(self.folder)]
            problem = " and ".join(present) or "none of them"
        forms = ", or ".join(map(str, layouts))
        raise CorpusError(f"{self.kind} is a folder with {forms}, got {problem}: {self.folder}")

    def _vocabulary(self, published: Published) -> Sequence[str] | None:
        for name in published.vocabulary_files:
            if (self.folder / name).is_file():
                return _read_vocabulary(self.folder / name, {*SPECIAL_WORDS, published.unknown})
        return None


def _read_vocabulary(path: Path, special: set[str | None]) -> Sequence[str]:
    lines: dict[str, int] = {}
    for number, line in read_lines(path):
        word = line.strip(" \t\r")  # and nothing else: a no-break space may be a part of a word
        if " " in word or "\t" in word:
            raise CorpusError(f"a line of a vocabulary is one word, got {word!r}: {path}:{number}")
        if word in special:
            continue
        if word in lines:
            raise CorpusError(
                f"the words of a vocabulary are distinct, got {word!r} as in line {lines[word]}:"
                f" {path}:{number}"
            )
        lines[word] = number
    return tuple(lines)


def _with_unknown(text: Text, unknown: str | None) -> Text:
    if unknown in (None, _UNKNOWN):
        return text
    return replace(
        text,
        sentences=[[_UNKNOWN if word == unknown else word for word in words] for words in text.sentences],
    )


def _plain(path: Path, name: str) -> Text:
    text = read_text_file(path)
    if text.labels is not None:
        raise CorpusError(f"a line of {name} is a sentence without a label, got a tab: {text.where(0)}")
    return text


def _ptb(path: Path) -> Text:
    text = _plain(path, "ptb")
    for i, words in enumerate(text.sentences):
        for word in words:
            if not word.islower() and (bare := word.replace("N", "")) != bare.lower():
                raise CorpusError(
                    f"a word of ptb is lower-case, numbers stand as N, got {word!r}: {text.where(i)}"
                    " (give any other text as a plain path)"
                )
    return text


def _numbered(path: Path, name: str) -> Text:
    text = read_text_file(path)
    for i, label in enumerate(text.labels or ()):
        if not label.isdecimal():
            raise CorpusError(f"a label of {name} is a whole number, got {label!r}: {text.where(i)}")
    return text


def _labelled(path: Path, name: str) -> Text:
    text = _numbered(path, name)
    if text.labels is None:
        raise CorpusError(f"a line of {name} is label<TAB>text, got no tab: {text.where(0)}")
    return text


def _split_files(name: str) -> tuple[str, str, str]:
    return f"{name}.train.txt", f"{name}.valid.txt", f"{name}.test.txt"


PUBLISHED: Mapping[str, Published] = {
    "ptb": Published((Layout(_split_files("ptb"), _ptb),), unknown=_UNKNOWN),
    "yahoo": Published(
        (
            Layout(_split_files("yahoo"), partial(_numbered, name="yahoo")),
            Layout(("train.txt", "val.txt", "test.txt"), partial(_numbered, name="yahoo")),
        ),
        unknown="_UNK",
        vocabulary_files=("vocab.txt", "yahoo.vocab"),
    ),
    "yelp": Published(
        (Layout(_split_files("yelp"), partial(_labelled, name="yelp")),),
        unknown="_UNK",
        vocabulary_files=("vocab.txt",),
    ),
    "snli": Published(
        (Layout(SNLI_FILES, read_snli), Layout(_split_files("snli"), partial(_plain, name="snli"))),
        unknown=None,
        usual_vocabulary_size=10_000,
    ),
}


def _named(kind: str, rest: str) -> NamedCorpus:
    if not rest:
        raise CorpusError(f"a folder stands behind {kind}:, such as {kind}:data/{kind}, got none")
    return NamedCorpus(kind, absolute(Path(rest)))


NAMED_KINDS: Mapping[str, Callable[[str], CorpusSource]] = {kind: partial(_named, kind) for kind in PUBLISHED}
