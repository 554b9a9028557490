"""SNLI 1.0 (Bowman et al. 2015) as it was released: a JSON object a line, a pair of sentences each."""

from __future__ import annotations

import json
from pathlib import Path

from trainables.text.raw_text import Text
from trainables.text.reading import read_lines
from trainables.text.splits import CorpusError

FILES = ("snli_1.0_train.jsonl", "snli_1.0_dev.jsonl", "snli_1.0_test.jsonl")
_SENTENCE, _LABEL = "sentence2_binary_parse", "gold_label"
_LABELS = ("contradiction", "entailment", "neutral")
_NO_MAJORITY = "-"


def read_snli(path: Path) -> Text:
    """The hypotheses with their labels, lower-cased, in the words of the release's own parses.

    The premises are left out: each stands about three times, once with every label, so that a label says
    nothing about it. Pairs on which the annotators did not agree are left out too, as the release advises.

    Raises:
        CorpusError: a line is not of that form.
    """
    sentences, labels, lines = [], [], []
    for number, line in read_lines(path):
        sentence, label = _pair(line, f"{path}:{number}")
        if label != _NO_MAJORITY:
            # "( ( A dog ) ( is running ) )": what is no bracket is a word.
            sentences.append([word for word in sentence.lower().split() if word not in ("(", ")")])
            labels.append(label)
            lines.append(number)
    return Text(str(path), sentences, labels, lines)


def _pair(line: str, where: str) -> tuple[str, str]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise CorpusError(f"a line of snli is a JSON object, got {error}: {where}") from None
    if not isinstance(record, dict):
        raise CorpusError(f"a line of snli is a JSON object, got {type(record).__name__}: {where}")
    for field in (_SENTENCE, _LABEL):
        if not isinstance(record.get(field), str):
            raise CorpusError(f"a line of snli has text under {field!r}, got {record.get(field)!r}: {where}")
    if record[_LABEL] not in (*_LABELS, _NO_MAJORITY):
        known = ", ".join((*_LABELS, _NO_MAJORITY))
        raise CorpusError(f"{_LABEL} of snli is one of {known}, got {record[_LABEL]!r}: {where}")
    return record[_SENTENCE], record[_LABEL]
