"""A trial that trains nothing, in a module of its own: every actor imports it, and not MLflow with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray import tune

EPOCHS = 3


class Trivial(tune.Trainable):
    """Reports as the real one; seed 2 diverges, seed 3 fails, seed 4 fails once, seed 5 cannot start."""

    def setup(self, config: dict[str, Any]) -> None:
        self.seed, self.epoch = config["seed"], 0
        if self.seed == 5:
            raise RuntimeError("no start")

    def step(self) -> dict[str, Any]:
        self.epoch += 1
        result: dict[str, Any] = {"epoch": self.epoch, "metrics": {"nll": 10.0 * self.seed + self.epoch}}
        if self.seed == 2 and self.epoch == 2:
            result["metrics"]["kl"] = float("nan")
            return result | {"failure": "diverged", "reason": "loss not finite in epoch 2", "done": True}
        if self.seed == 3 and self.epoch == 2:
            raise RuntimeError("out of luck")
        if self.seed == 4 and self.epoch == 3 and not self.restored:
            raise RuntimeError("once")
        if self.epoch == EPOCHS:
            result |= {"final": {"test/nll": 1.5}, "done": True}
        return result

    restored = False

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        (Path(checkpoint_dir) / "epoch").write_text(str(self.epoch))

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        self.epoch, self.restored = int((Path(checkpoint_dir) / "epoch").read_text()), True
