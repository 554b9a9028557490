"""A trial's checkpoint, and what can be had of it once the trial has ended.

Whoever reads it out of a folder imports torch, and not the two seconds of Ray Tune beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from trainables.evaluation.examination import Examination, Request, examine
from trainables.evaluation.trained_model import TrainedModel
from trainables.text.splits import Corpus
from trainables.variants import load_variant

CHECKPOINT = "training.pt"


class Checkpoint(Protocol):
    """Where a trial has saved itself; Ray Tune's have this too, wherever they lie."""

    def as_directory(self) -> AbstractContextManager[str]:
        """Its folder, on this machine for as long as the block lasts."""


@dataclass(frozen=True)
class LocalCheckpoint:
    """One in a folder that this machine sees."""

    folder: str

    def as_directory(self) -> AbstractContextManager[str]:
        return nullcontext(self.folder)


def load_state(folder: str) -> dict[str, Any]:
    """`Training.state`, as a checkpoint's folder holds it.

    Raises:
        FileNotFoundError: it is gone.
    """
    # The file holds records of this package, not weights alone; generator states must stay on the CPU.
    state: dict[str, Any] = torch.load(Path(folder, CHECKPOINT), map_location="cpu", weights_only=False)
    return state


def examine_checkpoint(
    checkpoint: Checkpoint | None, config: Mapping[str, Any], corpus: Corpus, request: Request
) -> Examination:
    """Examines the best weights of a trial.

    Args:
        checkpoint: what it left, if it did.
        config: of the trial, as in `TextVAETrainable`.

    Raises:
        FileNotFoundError: there is no checkpoint, or it is gone.
    """
    variant = load_variant(config["variant"]).with_knobs(config["knobs"])
    return examine(variant, _best_weights(checkpoint), corpus, request)


def trained_model(
    checkpoint: Checkpoint | None,
    config: Mapping[str, Any],
    corpus: Corpus,
    *,
    sweep: str = "",
    trial_id: str = "",
) -> TrainedModel:
    """The best weights of a trial as a model by itself.

    Args:
        checkpoint, config: as of `examine_checkpoint`.
        sweep, trial_id: noted in its description.

    Raises:
        FileNotFoundError: there is no checkpoint, or it is gone.
    """
    variant = load_variant(config["variant"]).with_knobs(config["knobs"])
    weights = _best_weights(checkpoint)
    return TrainedModel.of(variant, weights, corpus, seed=config["seed"], sweep=sweep, trial_id=trial_id)


def _best_weights(checkpoint: Checkpoint | None) -> dict[str, torch.Tensor]:
    if checkpoint is None:
        raise FileNotFoundError("it left no checkpoint")
    with checkpoint.as_directory() as folder:
        weights: dict[str, torch.Tensor] = load_state(folder)["best_weights"]
    return weights
