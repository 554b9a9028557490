"""Text files of a corpus: one sentence a line, words separated by spaces, with or without a label in front.

Errors name the file and the line, because a corpus of millions of lines is not searched by eye.
"""

from __future__ import annotations

import re
from pathlib import Path

from trainables.text.raw_text import Text
from trainables.text.splits import CorpusError

_LONE_CR = re.compile(rb"\r(?!\n)")
_MARK = "\ufeff"
_SPLIT_NAMES = {"train": ("train",), "valid": ("valid", "dev", "val"), "test": ("test",)}


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


def read_text_file(path: Path) -> Text:
    """Read `label<TAB>sentence` lines if every line has exactly one tab, plain sentences if none has any."""
    numbered = read_lines(path)
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
        return Text(str(path), [line.split() for _, line in numbered], None, lines)
    pairs = [line.split("\t") for _, line in numbered]
    labels = [label.strip() for label, _ in pairs]
    return Text(str(path), [words.split() for _, words in pairs], labels, lines)


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a UTF-8 file with their numbers, from 1; blank ones left out, at least one is not."""
    numbered = [(number, line) for number, line in enumerate(_decode(path).split("\n"), 1) if line.strip()]
    if not numbered:
        raise CorpusError(f"a corpus file holds at least one sentence, got none: {path}")
    return numbered


def _decode(path: Path) -> str:
    data = path.read_bytes()
    nul = data.find(0)
    if nul >= 0:
        raise CorpusError(f"a corpus file is UTF-8 text, got a NUL byte: {path}:{_line_at(data, nul)}")
    if alone := _LONE_CR.search(data):
        where = f"{path}:{_line_at(data, alone.start())}"
        raise CorpusError(f"a line ends with LF or CR LF, got a CR alone: {where}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        where = f"{path}:{_line_at(data, error.start)}"
        raise CorpusError(f"a corpus file is UTF-8, got byte 0x{data[error.start]:02x}: {where}") from None
    # A mark stands at the start of a file, and of a line where files were put together.
    text = text.removeprefix(_MARK).replace(f"\n{_MARK}", "\n")
    if _MARK in text:
        where = f"{path}:{text.count(chr(10), 0, text.index(_MARK)) + 1}"
        raise CorpusError(f"U+FEFF (byte order mark) begins a file or a line, got one inside: {where}")
    return text


def _line_at(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1
