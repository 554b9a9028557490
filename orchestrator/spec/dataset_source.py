"""`datasets:NAME` in a spec: a dataset of the Hugging Face hub, or a copy of one in a folder.

Only this module imports `datasets`, an optional extra, and only when a dataset is read.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.common.commands import program
from trainables.text.raw_text import Text, Texts
from trainables.text.sources import TextSource, absolute
from trainables.text.splits import CorpusError

if TYPE_CHECKING:
    from datasets import Dataset

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_OPTION = re.compile(r",([a-z]+)=([^,]*)\Z")
_SPLITS = {"valid": ("validation", "valid", "dev", "val"), "test": ("test",)}
_SAVED = ("dataset_dict.json", "state.json")
_MISSING_LABEL = -1  # what datasets of class labels write for none


@dataclass(frozen=True)
class DatasetSource(TextSource):
    """A dataset, and which of its columns to read.

    Args:
        dataset: a folder, from the root (written by `save_to_disk`, or with parquet, jsonl or csv files), or
            a name on the hub.
        config: one of the dataset's configurations, where it has several.
        text: the column of the sentences, words separated by white space.
        label: the column of the labels; None reads none.
    """

    dataset: str
    config: str | None = None
    text: str = "text"
    label: str | None = None

    @classmethod
    def parse(cls, rest: str) -> DatasetSource:
        """`NAME_OR_PATH[,config=NAME][,text=COLUMN][,label=COLUMN]`.

        Raises:
            CorpusError: an unknown or an empty option, or neither a folder nor a name of the hub's form.
        """
        options: dict[str, str] = {}
        while match := _OPTION.search(rest):
            option, value = match.groups()
            if option not in ("config", "text", "label") or not value or option in options:
                raise CorpusError(
                    "behind a dataset stand config=NAME, text=COLUMN and label=COLUMN, each once,"
                    f" got {match.group()[1:]!r}"
                )
            options[option] = value
            rest = rest[: match.start()]
        folder = absolute(Path(rest))
        if rest.startswith((".", "/", "~")) or (rest and folder.exists()):
            return cls(str(folder), **options)
        if not _HUB_NAME.fullmatch(rest):
            raise CorpusError(
                f"a dataset is a folder that exists, or NAME or OWNER/NAME on the hub, got {rest!r}"
            )
        return cls(rest, **options)

    @property
    def name(self) -> str:
        return Path(self.dataset).name

    def __str__(self) -> str:
        options = {
            "config": self.config,
            "text": None if self.text == "text" else self.text,
            "label": self.label,
        }
        return f"datasets:{self.dataset}" + "".join(
            f",{key}={value}" for key, value in options.items() if value
        )

    def read(self, seed: int) -> Texts:
        """The splits; those of valid and test that the dataset lacks are a tenth of train each."""
        splits = self._load()
        if "train" not in splits:
            raise CorpusError(f"a dataset has a split 'train', got {_listed(splits)}: {self}")
        found = {
            part: next((name for name in names if name in splits), None) for part, names in _SPLITS.items()
        }
        texts = {part: self._text(splits[name], name) for part, name in found.items() if name}
        train = self._text(splits["train"], "train")
        missing = [part for part, name in found.items() if not name]
        if missing:
            train, *held_out = train.hold_out(len(missing), seed)
            texts |= dict(zip(missing, held_out, strict=True))
        return Texts(train, texts["valid"], texts["test"])

    def _load(self) -> dict[str, Dataset]:
        try:
            import datasets
            from datasets import load_dataset, load_from_disk
        except ImportError:  # also where a folder called datasets is taken for the package
            raise CorpusError(
                "datasets: needs the extra 'datasets', which is not installed; install it with"
                f" {program('python')} -m pip install -e '.[datasets]'"
            ) from None
        datasets.disable_progress_bars()
        datasets.logging.set_verbosity(datasets.logging.CRITICAL)
        saved = any((Path(self.dataset) / name).is_file() for name in _SAVED)
        if saved and self.config:
            raise CorpusError(f"a dataset that was saved has no configurations, got config: {self}")
        try:
            if saved:
                found = load_from_disk(self.dataset)
            else:
                found = load_dataset(self.dataset, self.config, **self._reading())
        except Exception as error:  # the library raises whatever its readers and the network raise
            cause = error.__cause__ or error
            reason = " ".join(f"{type(cause).__name__}: {cause}".split())
            raise CorpusError(f"a dataset can be loaded, got {reason}: {self}") from error
        return (
            {str(name): split for name, split in found.items()}
            if isinstance(found, dict)
            else {"train": found}
        )

    def _reading(self) -> dict[str, Any]:
        """How a folder of CSV files is read: every cell is the text that stands there. Left to itself pandas
        takes `None` and `NA` for nothing, and `01` for 1."""
        files = sorted(Path(self.dataset).rglob("*.csv")) if Path(self.dataset).is_dir() else []
        if not files:
            return {}
        import datasets

        with files[0].open(encoding="utf-8-sig", newline="") as file:
            columns = next(csv.reader(file), [])
        texts = datasets.Features({column: datasets.Value("string") for column in columns})
        return {"features": texts, "keep_default_na": False}

    def _text(self, split: Dataset, name: str) -> Text:
        """The split without rows that are blank or have no label."""
        place = f"datasets:{self.dataset}[{name}]"
        values = self._column(split, self.text, place)
        labels = self._labels(split, place)
        rows = []
        for row, (value, label) in enumerate(zip(values, labels, strict=True)):
            if not isinstance(value, str | None):
                raise CorpusError(
                    f"the column {self.text!r} holds text, got {type(value).__name__}: {place}:{row}"
                )
            if (value or "").strip() and (self.label is None or label):
                rows.append(row)
        kept = [labels[row] for row in rows] if self.label else None
        return Text(place, [values[row].split() for row in rows], kept, rows, len(values) - len(rows))

    def _labels(self, split: Dataset, place: str) -> list[str]:
        """The labels as text; "" for a row that has none, and for all rows where no column is chosen."""
        if self.label is None:
            return [""] * len(split)
        values = self._column(split, self.label, place)
        names: Sequence[str] | None = getattr(split.features[self.label], "names", None)
        for row, value in enumerate(values):
            if value is not None and not isinstance(value, str | int):
                raise CorpusError(
                    f"the column {self.label!r} holds names or whole numbers, got {value!r}: {place}:{row}"
                )
        if names is None:
            return ["" if value is None else str(value).strip() for value in values]
        return ["" if value in (None, _MISSING_LABEL) else names[value].strip() for value in values]

    def _column(self, split: Dataset, column: str, place: str) -> Sequence[Any]:
        if column not in split.column_names:
            kinds = "label" if column == self.label else "text"
            raise CorpusError(
                f"a dataset has the column {column!r} (choose another with ,{kinds}=COLUMN),"
                f" got {_listed(split.column_names)}: {place}"
            )
        return list(split[column])


def _listed(names: Any) -> str:
    return ", ".join(map(str, names)) or "none"
