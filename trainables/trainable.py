"""TextVAETrainable: a variant's training as a Ray Tune trainable, an epoch a step."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ray import tune
from ray.tune.result import SHOULD_CHECKPOINT

from trainables.checkpoints import CHECKPOINT, load_state
from trainables.common.cpu import prepare_cpu
from trainables.saves import Saves
from trainables.text.splits import Corpus
from trainables.training.collapse import COLLAPSED
from trainables.training.loop import DivergedError, Training
from trainables.training.records import EpochMetrics
from trainables.variants import load_variant

SPOT_NOTICE = Path("/tmp/spot-notice")
"""Where it is there, the machine is about to be taken away: what runs is saved at the end of each epoch."""


@dataclass(frozen=True)
class TrialSettings:
    """What all trials of a sweep share: length, device, the part of a GPU that they begin with, effort of the
    final IW-NLL, after how many dead epochs a searched trial is stopped, and the epochs from one save to the
    next (see `Saves`)."""

    epochs: int
    max_epochs: int | None = None
    device: str = "cpu"
    gpus: float = 0.0
    threads: int = 1
    iw_samples: int = 100
    iw_sentences: int = 200
    collapse_patience: int | None = None
    epochs_a_save: int = 1


class TextVAETrainable(tune.Trainable):
    """Trains `config["variant"]` with `config["knobs"]` and `config["seed"]`.

    Each step is an epoch and its result holds `epoch` and `metrics`; the last one adds `final`,
    `losses_N` and `history`, the metrics of each whole epoch; behind the end of the annealing the others have
    `standing`. A training that diverges or runs out of
    memory ends with `failure`, "diverged" or "out_of_memory", `reason` and `history`: that is the
    configuration's fault and a result, not an error of the sweep; out of memory on a GPU that it shares is an
    error, after which it gets more of one. So does a searched trial that is stopped
    because it has collapsed, with `failure` "collapsed".
    """

    def setup(
        self, config: dict[str, Any], settings: TrialSettings | None = None, corpus: Corpus | None = None
    ) -> None:
        """Ray passes settings and corpus by `tune.with_parameters`."""
        assert settings is not None
        assert corpus is not None
        self.settings, self.corpus = settings, corpus
        prepare_cpu(settings.threads)
        self._start(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Makes the actor as good as new for another trial."""
        self.cleanup()
        self._start(new_config)
        return True

    def step(self) -> dict[str, Any]:
        try:
            return self._epoch()
        except DivergedError as error:
            return self._failed("diverged", error)
        except (torch.OutOfMemoryError, MemoryError) as error:
            if isinstance(error, torch.OutOfMemoryError) and 0 < self._gpus < 1:
                raise  # perhaps another's fault
            return self._failed("out_of_memory", error)
        except RuntimeError as error:  # what torch raises on a CPU
            if "can't allocate memory" not in str(error):
                raise
            return self._failed("out_of_memory", error)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Writes beside the target and renames, so that a kill leaves no half checkpoint."""
        target = Path(checkpoint_dir, CHECKPOINT)
        partial = target.with_suffix(".partial")
        torch.save(self.training.state(), partial)
        os.replace(partial, target)
        self._note_save()

    def load_checkpoint(self, checkpoint: dict[str, Any] | str | None) -> None:
        """Continues from the checkpoint's folder."""
        assert isinstance(checkpoint, str)
        self.training.restore(load_state(checkpoint))
        self._note_save()

    def cleanup(self) -> None:
        """Frees the model, on a GPU too."""
        del self.training
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _start(self, config: Mapping[str, Any]) -> None:
        variant = load_variant(config["variant"]).with_knobs(config["knobs"])
        self.training = Training(
            variant,
            self.corpus,
            epochs=self.settings.epochs,
            max_epochs=self.settings.max_epochs,
            seed=config["seed"],
            device=self.settings.device,
        )
        self._note_save()

    def _note_save(self) -> None:
        self.saves = Saves(self.settings.epochs_a_save, self.training.epoch)

    def _epoch(self) -> dict[str, Any]:
        # A training that had ended when its trial was lost: what it came to is reported once more.
        epoch = self.training.history[-1] if self.training.finished else self.training.run_epoch()
        result: dict[str, Any] = {"epoch": epoch.epoch, "metrics": self._metrics(epoch)}
        if self.training.finished:
            final = self.training.final_metrics(
                iw_samples=self.settings.iw_samples, iw_sentences=self.settings.iw_sentences
            )
            result |= {"final": final.named(), "losses_N": final.losses_N, "done": True}
            result["history"] = self._history()
            return result
        due = self.saves.due(epoch.epoch, time.monotonic()) or SPOT_NOTICE.exists()
        result |= self._standing() | ({SHOULD_CHECKPOINT: True} if due else {})
        if self._collapsed:
            reason = (
                f"no KL and no active unit for {self.settings.collapse_patience} epochs at the whole weight"
            )
            result |= {"failure": COLLAPSED, "reason": reason, "history": self._history(), "done": True}
        return result

    @property
    def _collapsed(self) -> bool:
        """Whether the trial is stopped: baselines, replicates and repeats of a variant without knobs are the
        figures that others are compared with, and are trained to their end."""
        patience = self.settings.collapse_patience
        searched = self.config["kind"] == "trial" and bool(self.config["searched"])
        return patience is not None and searched and self.training.dead_epochs >= patience

    def _standing(self) -> dict[str, Any]:
        """Where an unfinished training stands: the figures of its best epoch so far, and how many epochs its
        last one is behind the end of the annealing; nothing before that."""
        training = self.training
        behind = training.epoch - training.annealed
        if behind <= 0 or training.best_epoch == 0:
            return {}
        best = training.history[training.best_epoch - 1].valid
        return {"standing": {"behind": behind, "nll": best.nll, "kl": best.kl}}

    @property
    def _gpus(self) -> float:
        """What this trial reserves."""
        reserved = self.trial_resources
        if reserved is None:
            return self.settings.gpus
        return float(reserved.required_resources.get("GPU", 0.0))

    def _metrics(self, epoch: EpochMetrics) -> dict[str, float]:
        return epoch.named() | {"gpu_seconds": epoch.cost.seconds * self._gpus}

    def _history(self) -> list[dict[str, float]]:
        return [
            {name: float(value) for name, value in (self._metrics(past) | {"epoch": past.epoch}).items()}
            for past in self.training.history
        ]

    def _failed(self, failure: str, error: Exception) -> dict[str, Any]:
        failed = {"failure": failure, "reason": str(error), "history": self._history(), "done": True}
        return {"epoch": self.training.epoch + 1, "metrics": {}} | failed
