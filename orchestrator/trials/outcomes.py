"""Outcomes: what is large of a trial's last result, in a file of its own.

Ray Tune keeps each trial's last result, and once more with its checkpoint, and writes those of all trials
whenever it saves the state of a sweep. With the metrics of every epoch and the loss of every sentence that
was 187 kB a trial of the default sweep.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyarrow.fs import FileSystem, FileType
from ray import tune
from ray.tune.experiment import Trial

from orchestrator.common.harmless import harmless

FOLDER = "outcomes"
_LARGE = ("history", "losses_N")


class Outcomes(tune.Callback):
    """Takes it out of results before Tune keeps them. What cannot be written stays where it is.

    Args:
        folder: a path or an URI, such as Tune's storage.
    """

    def __init__(self, folder: str) -> None:
        self._filesystem, self._folder = FileSystem.from_uri(f"{folder}/{FOLDER}")

    @harmless
    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        large = {name: result[name] for name in _LARGE if name in result}
        if large:
            self._write(trial.trial_id, large)
            for name in large:
                del result[name]

    @harmless
    def on_trial_save(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        saved = trial.latest_checkpoint_result
        metrics = (saved.metrics if saved is not None else None) or {}
        large = [name for name in _LARGE if name in metrics]
        if large and self._is_there(trial.trial_id):
            for name in large:
                del metrics[name]

        _without_statistics(trial)

    @harmless
    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        _without_statistics(trial)

    def of(self, trial_id: str) -> dict[str, Any]:
        """`history` and `losses_N` of a trial that has ended, as in its result; nothing of another."""
        if not self._is_there(trial_id):
            return {}
        with self._filesystem.open_input_file(self._path(trial_id)) as file:
            found: dict[str, Any] = json.loads(gzip.decompress(file.read()))
        if "losses_N" in found:
            found["losses_N"] = np.array(found["losses_N"], dtype=np.float32)
        return found

    def losses_N(self, trial_id: str) -> NDArray[np.float32] | None:
        """NLL + KL of each test sentence, nats; None where that is not known."""
        return self.of(trial_id).get("losses_N")

    def _write(self, trial_id: str, large: dict[str, Any]) -> None:
        """Beside the target and then renamed, so that a kill leaves no half file."""
        text = json.dumps({name: np.asarray(value).tolist() for name, value in large.items()})
        partial = f"{self._path(trial_id)}.partial"
        self._filesystem.create_dir(self._folder)
        with self._filesystem.open_output_stream(partial) as file:
            file.write(gzip.compress(text.encode(), compresslevel=3))
        self._filesystem.move(partial, self._path(trial_id))

    def _is_there(self, trial_id: str) -> bool:
        return bool(self._filesystem.get_file_info(self._path(trial_id)).type == FileType.File)

    def _path(self, trial_id: str) -> str:
        return f"{self._folder}/{trial_id}.json.gz"


def _without_statistics(trial: Trial) -> None:
    """Without the means and extremes that Tune keeps of each metric: nobody asks for them, and they are two
    thirds of what it writes of a trial."""
    trial.run_metadata.metric_analysis = {}
    trial.run_metadata.metric_n_steps = {}
