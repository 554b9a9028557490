"""Trials that run out of memory on a share of a GPU: under a real Ray Tune, on a node that only says that it
has one. They train nothing, and the large ones raise what torch raises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.sweep_process import run_program

_SWEEP = """
import json
from pathlib import Path
import ray
import torch
from ray import tune
from orchestrator.running.folder import prepare_folder
from orchestrator.spec.sweep_spec import SweepSpec
from tests.orchestrator.own_trainables import trained

class Large(tune.Trainable):
    def setup(self, config, settings=None, corpus=None):
        self.size = config["knobs"].get("hidden_size", 0)

    def reset_config(self, new_config):
        self.size = new_config["knobs"].get("hidden_size", 0)
        return True

    def step(self):
        share = self.trial_resources.required_resources["GPU"]
        if share < {64: 0.5, 512: 2.0}.get(self.size, 0.0):
            if share < 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return {"epoch": 1, "metrics": {}, "failure": "out_of_memory", "reason": "", "done": True}
        final = {f"best/{name}": 1.0 for name in ("nll", "kl", "nll_plus_kl")}
        return {"epoch": 1, "metrics": {}, "final": final, "share": share, "done": True}

    def save_checkpoint(self, folder):
        Path(folder, "nothing").touch()

ray.init("local", num_cpus=1, num_gpus=1, include_dashboard=False, log_to_driver=False)
Path("spec.yaml").write_text(
    "{variants: [vanilla], replicates: 0, baseline_seeds: 1, baseline_trials: 0, epochs: 1,"
    " name: s, max_concurrent: 1, storage: sweeps, resources: {cpus: 1, gpus: 0.25}, search: {sampler: grid},"
    " ranges: {hidden_size: {choices: [64, 512]}, learning_rate: {choices: [0.01, 0.02]}}}"
)
spec = prepare_folder(SweepSpec.load(Path("spec.yaml"), {"trials": 3}))

begun = trained(spec, Large)
for trial in [*begun, trained(spec.model_copy(update={"trials": 4}), Large, resume=True)[-1]]:
    knobs, result = trial.config["knobs"], trial.last_result
    print(json.dumps([
        trial.config["variant"], knobs.get("hidden_size"), knobs.get("learning_rate"), trial.status,
        result.get("share"), result.get("failure"), trial.run_metadata.num_failures,
        trial.placement_group_factory.required_resources["GPU"],
    ]))
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twice_the_share_for_all_of_its_size(tmp_path: Path) -> None:
    """The last trial is begun by a resume."""
    lines = run_program(_SWEEP, tmp_path)
    assert [json.loads(line) for line in lines if line.startswith("[")] == [
        ["language_model", None, None, "TERMINATED", 0.25, None, 0, 0.25],
        ["vanilla", 64, 0.01, "TERMINATED", 0.5, None, 1, 0.5],
        ["vanilla", 64, 0.02, "TERMINATED", 0.5, None, 0, 0.5],
        ["vanilla", 512, 0.01, "TERMINATED", None, "out_of_memory", 2, 1.0],
        ["vanilla", 512, 0.02, "TERMINATED", None, "out_of_memory", 0, 1.0],
    ]
    assert [line for line in lines if line.startswith("vanilla")] == [
        f"vanilla hidden_size={size} learning_rate=0.01 ran out of memory on {share} of a GPU:"
        f" models of its size get {twice} from now on"
        for size, share, twice in ((64, "1/4", "1/2"), (512, "1/4", "1/2"), (512, "1/2", "a whole one"))
    ]
