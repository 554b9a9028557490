from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.trainables.models import MakeVariant
from tests.trainables.trained import trained
from trainables.checkpoints import CHECKPOINT, LocalCheckpoint, trained_model
from trainables.evaluation.trained_model import DESCRIPTION, WEIGHTS, Description, TrainedModel
from trainables.text.splits import Corpus
from trainables.training.loop import Training
from trainables.variants import variant_names


@pytest.mark.parametrize("name", variant_names())
def test_written_and_read_back(small: MakeVariant, varied: Corpus, tmp_path: Path, name: str) -> None:
    model = trained(small(name, learning_rate=0.1 + 0.2), varied).model
    model.write(tmp_path)
    again = TrainedModel.read(tmp_path)
    assert again.description == model.description
    assert again.description.build() == small(name, learning_rate=0.1 + 0.2)
    assert again.weights.keys() == model.weights.keys()
    assert all(torch.equal(again.weights[key], model.weights[key]) for key in model.weights)
    assert sorted(path.name for path in tmp_path.iterdir()) == [DESCRIPTION, WEIGHTS]


def test_the_description(small: MakeVariant, varied: Corpus) -> None:
    description = trained(small("conditional"), varied, epochs=1).model.description
    assert (description.variant, description.told) == ("conditional", True)
    assert description.words == varied.vocabulary.words
    assert (description.label_names, description.label_counts) == (("x", "y", "z"), varied.label_counts)
    assert (description.longest, description.corpus, description.digest) == (7, "varied", varied.digest)
    assert (description.seed, description.sweep, description.trial_id) == (5, "s", "t0")
    first = varied.test.tokens[1 : varied.test.offsets[1] - 1]
    assert description.example == " ".join(varied.vocabulary.decode(first.tolist()))
    assert description.example_label == varied.label_names[varied.test.labels[0]]  # type: ignore[index]


def test_a_description_without_labels(small: MakeVariant, unlabelled: Corpus) -> None:
    description = trained(small("vanilla"), unlabelled, epochs=1).model.description
    assert not description.told
    assert (description.label_names, description.label_counts, description.example_label) == ((), (), "")
    assert Description.from_json(description.to_json()) == description


def test_the_best_weights_of_a_checkpoint(small: MakeVariant, varied: Corpus, tmp_path: Path) -> None:
    training = Training(small("cyclical"), varied, epochs=3, seed=4)
    while not training.finished:
        training.run_epoch()
    torch.save(training.state(), tmp_path / CHECKPOINT)
    knobs = training.variant.knobs()
    config = {"variant": "cyclical", "kind": "trial", "knobs": knobs, "seed": 4, "searched": []}
    checkpoint = LocalCheckpoint(str(tmp_path))
    model = trained_model(checkpoint, config, varied, sweep="s", trial_id="t7")
    assert all(torch.equal(model.weights[key], training.best_weights[key]) for key in training.best_weights)
    about = model.description
    assert (about.sweep, about.trial_id, about.seed, about.knobs) == ("s", "t7", 4, knobs)
    with pytest.raises(FileNotFoundError, match="it left no checkpoint"):
        trained_model(None, config, varied)
