"""A trained model by itself: configuration, vocabulary and weights, as two files that hold no code."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from trainables.evaluation.reconstruction import Reconstructor
from trainables.model.text_vae import TextVAE
from trainables.model.variant import Variant
from trainables.text.splits import Corpus
from trainables.text.vocabulary import Vocabulary
from trainables.variants import load_variant

DESCRIPTION, WEIGHTS = "model.json", "weights.pt"


@dataclass(frozen=True)
class Description:
    """What a trained model is, but for its weights.

    Attributes:
        knobs: all of the variant's.
        words: of the vocabulary, by id.
        label_names, label_counts: of the training sentences; empty for a corpus without labels.
        longest: words of the corpus's longest sentence, its `</s>` counted.
        example, example_label: the first test sentence, as text, and its label, "" where there is none.
        corpus, digest: the corpus's name and fingerprint.
        seed: of the training.
        sweep, trial_id: where it was trained; empty outside of a sweep.
    """

    variant: str
    knobs: Mapping[str, Any]
    words: tuple[str, ...]
    label_names: tuple[str, ...]
    label_counts: tuple[int, ...]
    longest: int
    example: str
    example_label: str
    corpus: str
    digest: str
    seed: int
    sweep: str = ""
    trial_id: str = ""

    def build(self) -> Variant:
        """The variant with the knobs set."""
        return load_variant(self.variant).with_knobs(self.knobs)

    @property
    def told(self) -> bool:
        """Whether it is told a sentence's label."""
        return self.build().condition.width > 0

    def to_json(self) -> str:
        """Reads back equal with `from_json`."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`."""
        values = json.loads(text)
        tuples = ("words", "label_names", "label_counts")
        return cls(**values | {name: tuple(values[name]) for name in tuples})


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A description with its weights."""

    description: Description
    weights: Mapping[str, Tensor]

    @classmethod
    def of(cls, variant: Variant, weights: Mapping[str, Tensor], corpus: Corpus, *, seed: int,
           sweep: str = "", trial_id: str = "") -> Self:  # fmt: skip
        """The weights of a training of the variant on the corpus."""
        test, words = corpus.test, corpus.vocabulary
        first = test.tokens[1 : test.offsets[1] - 1].tolist()
        description = Description(
            variant=variant.name,
            knobs=variant.knobs(),
            words=words.words,
            label_names=corpus.label_names,
            label_counts=corpus.label_counts,
            longest=corpus.longest,
            example=" ".join(words.decode(first)),
            example_label="" if test.labels is None else corpus.label_names[test.labels[0]],
            corpus=corpus.name,
            digest=corpus.digest,
            seed=seed,
            sweep=sweep,
            trial_id=trial_id,
        )
        return cls(description, dict(weights))

    def reconstructor(self, device: str = "cpu") -> Reconstructor:
        """The model, ready for text."""
        about = self.description
        model = TextVAE(about.build(), len(about.words), about.label_counts)
        model.load_state_dict(self.weights)
        model.to(device).eval()
        return Reconstructor(model, Vocabulary(about.words), about.label_names, about.longest)

    def write(self, folder: Path) -> None:
        """Writes the two files into a folder that exists; the weights load with `weights_only=True`."""
        (folder / DESCRIPTION).write_text(self.description.to_json(), encoding="utf-8")
        torch.save({name: tensor.cpu() for name, tensor in self.weights.items()}, folder / WEIGHTS)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The inverse of `write`."""
        description = Description.from_json((folder / DESCRIPTION).read_text(encoding="utf-8"))
        weights = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
        return cls(description, weights)
