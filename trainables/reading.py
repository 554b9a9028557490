"""Text files of a corpus: one sentence a line, words separated by spaces, with or without a label in front.

Errors name the file and the line, because a corpus of millions of lines is not searched by eye.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainables.splits import CorpusError
from trainables.vocabulary import END, PAD, SPECIAL_WORDS, START

# "<unk>" may stand in a text (PTB has it); the other special words would forge a sentence mark or padding.
_RESERVED = frozenset(SPECIAL_WORDS[index] for index in (PAD, START, END))
_SPLIT_NAMES = {"train": ("train",), "valid": ("valid", "dev", "val"), "test": ("test",)}


@dataclass(frozen=True, eq=False)
class TextFile:
    """The sentences of one file, blank lines left out.

    Args:
        path: the file.
        sentences: N lists of words.
        labels: N labels as written, or None where the file has none.
        lines: N line numbers, the first line is 1.
    """

    path: Path
    sentences: Sequence[Sequence[str]]
    labels: Sequence[str] | None
    lines: Sequence[int]

    def __len__(self) -> int:
        return len(self.sentences)

    def where(self, sentence: int) -> str:
        return f"{self.path}:{self.lines[sentence]}"

    def take(self, numbers: Sequence[int]) -> TextFile:
        """The sentences with these numbers, in this order."""
        return TextFile(
            self.path,
            [self.sentences[number] for number in numbers],
            None if self.labels is None else [self.labels[number] for number in numbers],
            [self.lines[number] for number in numbers],
        )


def find_split_files(folder: Path) -> tuple[Path, Path, Path]:
    """The files of train, valid and test: `train.txt` or `NAME.train.txt`; valid may be called dev or val."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))

    def find(split: str) -> Path:
        names = [f"{name}.txt" for name in _SPLIT_NAMES[split]]
        endings = tuple(f".{name}" for name in names)
        found = [path for path in files if path.name in names or path.name.endswith(endings)]
        if len(found) == 1:
            return found[0]
        looked_for = ", ".join(f"{name} or *.{name}" for name in names)
        got = " and ".join(path.name for path in found) or "none"
        raise CorpusError(f"a corpus folder has one file for {split} ({looked_for}), got {got}: {folder}")

    return find("train"), find("valid"), find("test")


def read_text_file(path: Path) -> TextFile:
    """Read `label<TAB>sentence` lines if every line has exactly one tab, plain sentences if none has any."""
    numbered = [(number, line) for number, line in enumerate(_decode(path).split("\n"), 1) if line.strip()]
    if not numbered:
        raise CorpusError(f"a corpus file holds at least one sentence, got none: {path}")
    first_number, first_line = numbered[0]
    expected = first_line.count("\t")
    for number, line in numbered:
        tabs = line.count("\t")
        if tabs != expected or tabs > 1:
            raise CorpusError(
                "either every line has exactly one tab (label<TAB>sentence) or none has any,"
                f" got {tabs} here and {expected} in line {first_number}: {path}:{number}"
            )
    lines = [number for number, _ in numbered]
    if expected == 0:
        text = TextFile(path, [line.split() for _, line in numbered], None, lines)
    else:
        pairs = [line.split("\t") for _, line in numbered]
        labels = [label.strip() for label, _ in pairs]
        text = TextFile(path, [words.split() for _, words in pairs], labels, lines)
    _check_sentences(text)
    return text


def _check_sentences(text: TextFile) -> None:
    for i, words in enumerate(text.sentences):
        if not _RESERVED.isdisjoint(words):
            word = next(word for word in words if word in _RESERVED)
            where = text.where(i)
            raise CorpusError(f"<s>, </s> and <pad> are reserved and stand in no text, got {word}: {where}")
        if not words or (text.labels is not None and not text.labels[i]):
            part = "label" if words else "sentence"
            raise CorpusError(f"a labelled line is label<TAB>sentence, got an empty {part}: {text.where(i)}")


def _decode(path: Path) -> str:
    data = path.read_bytes()
    nul = data.find(0)
    if nul >= 0:
        raise CorpusError(f"a corpus file is UTF-8 text, got a NUL byte: {path}:{_line_at(data, nul)}")
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        where = f"{path}:{_line_at(data, error.start)}"
        raise CorpusError(f"a corpus file is UTF-8, got byte 0x{data[error.start]:02x}: {where}") from None


def _line_at(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1
