"""A trial that only sleeps, in a module of its own: what an actor imports for it counts as overhead."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ray import tune

STEPS, STEP_S = 5, 0.2


class Sleeper(tune.Trainable):
    """In the place of a training: five epochs of 0.2 s, or one of none."""

    def setup(self, config: dict[str, Any], settings: Any = None, corpus: Any = None) -> None:
        self.epoch = 0
        self.steps, self.seconds = (
            (STEPS, STEP_S) if settings is None or settings.epochs == STEPS else (1, 0.0)
        )

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.epoch = 0
        return True

    def step(self) -> dict[str, Any]:
        time.sleep(self.seconds)
        self.epoch += 1
        figures = {"nll": 10.0 + self.epoch, "kl": 1.0, "nll_plus_kl": 11.0 + self.epoch}
        result: dict[str, Any] = {"epoch": self.epoch, "metrics": figures, "loss": figures["nll"]}
        if self.epoch == self.steps:
            result |= {"final": {f"best/{name}": value for name, value in figures.items()}, "done": True}
        return result

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        Path(checkpoint_dir, "epoch").write_text(str(self.epoch))

    def load_checkpoint(self, checkpoint: Any) -> None:
        self.epoch = int(Path(checkpoint, "epoch").read_text())
