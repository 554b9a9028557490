"""Where a corpus comes from: what a spec's `corpus` says, as a record."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trainables.text.raw_text import Texts
from trainables.text.reading import find_split_files, read_text_file
from trainables.text.splits import CorpusError

EMBEDDED = "embedded"
USUAL: Final = "usual"  # a vocabulary's size: what the source says


class CorpusSource(ABC):
    """One way to name a corpus; `str(source)` is what a spec says, and `parse_source` reads it back equal."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Short, for tables and the names of sweeps."""

    @abstractmethod
    def __str__(self) -> str: ...

    @property
    def usual_vocabulary_size(self) -> int | None:
        """The most words to keep unless another number is asked for; None keeps all."""
        return 10_000


class TextSource(CorpusSource):
    """A source of text."""

    @abstractmethod
    def read(self, seed: int) -> Texts:
        """The splits; `seed` draws those that the source does not have.

        Raises:
            CorpusError: something is missing or badly formed.
            OSError: a file cannot be read.
        """


@dataclass(frozen=True)
class Embedded(CorpusSource):
    """The corpus of `trainables.text.grammar`, drawn by the seed."""

    @property
    def name(self) -> str:
        return EMBEDDED

    def __str__(self) -> str:
        return EMBEDDED


@dataclass(frozen=True)
class PlainText(TextSource):
    """A folder with train, valid and test files, or one text file, split 80/10/10 at random."""

    path: Path

    @property
    def name(self) -> str:
        path = absolute(self.path)
        return path.name if path.is_dir() else path.stem

    def __str__(self) -> str:
        return str(self.path)

    def read(self, seed: int) -> Texts:
        path = absolute(self.path)
        if path.is_dir():
            train, valid, test = map(read_text_file, find_split_files(path))
            return Texts(train, valid, test)
        if not path.exists():
            raise CorpusError(f"a corpus is a folder or a text file, got a path that does not exist: {path}")
        if not path.is_file():
            raise CorpusError(f"a corpus is a folder or a text file, got neither: {path}")
        train, valid, test = read_text_file(path).hold_out(2, seed)
        return Texts(train, valid, test)


def parse_source(text: str, kinds: Mapping[str, Callable[[str], CorpusSource]]) -> CorpusSource:
    """The source that a spec names: `embedded`, a path, or `KIND:REST`.

    Args:
        kinds: KIND → what makes a source of REST.

    Raises:
        CorpusError: nothing of that kind is known, or REST is not of its form.
    """
    if text == EMBEDDED:
        return Embedded()
    kind, colon, rest = text.partition(":")
    if colon and kind in kinds:
        return kinds[kind](rest)
    path = absolute(Path(text))
    if colon and kind.isidentifier() and not path.exists():
        known = ", ".join(f"{kind}:" for kind in kinds)
        raise CorpusError(f"corpus must be {EMBEDDED}, a path, or begin with one of {known}, got {text!r}")
    return PlainText(path)


def absolute(path: Path) -> Path:
    """The path with `~` replaced, from the root; links stay as they are.

    Raises:
        CorpusError: it begins with the home of somebody whom nobody knows, or is not UTF-8.
    """
    try:
        str(path).encode("utf-8")
        return Path(os.path.abspath(path.expanduser()))
    except UnicodeEncodeError:
        raise CorpusError(f"a path is UTF-8, got {os.fsencode(path)!r}") from None
    except RuntimeError:
        raise CorpusError(
            f"a path begins with a home that exists, got {path.parts[0]!r}, whose home nobody knows: {path}"
        ) from None
