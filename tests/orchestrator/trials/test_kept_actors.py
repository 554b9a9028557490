"""Actors outlast the moments in which nothing is to be done, under a real Ray Tune."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sweep_process import run_program

_SWEEP = """
import os
import time
from pathlib import Path
import ray
from ray import tune
from orchestrator.running.folder import prepare_folder
from orchestrator.spec.sweep_spec import SweepSpec
from tests.orchestrator.own_trainables import trained

HERE = os.getcwd()

class Tells(tune.Trainable):
    def setup(self, config, settings=None, corpus=None):
        self.kind, self.seed = config["kind"], config["seed"]

    def reset_config(self, config):
        self.setup(config)
        return True

    def step(self):
        if self.kind != "trial":  # two of a kind, which end when both have begun
            Path(HERE, f"{self.kind} {self.seed}").touch()
            while len(list(Path(HERE).glob(f"{self.kind} *"))) < 2:
                time.sleep(0.05)
        final = {f"best/{name}": 1.0 for name in ("nll", "kl", "nll_plus_kl")}
        return {"epoch": 1, "metrics": {"process": os.getpid()}, "final": final, "done": True}

    def save_checkpoint(self, folder):
        pass

ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
Path("spec.yaml").write_text(
    "{variants: [cyclical], trials: 1, replicates: 2, max_replicates: 2, baseline_seeds: 2, epochs: 1,"
    " storage: sweeps, resources: {cpus: 1}}"
)
trials = trained(prepare_folder(SweepSpec.load(Path("spec.yaml"), {"name": "s"})), Tells)
print(len(trials), len({trial.last_result["metrics"]["process"] for trial in trials}))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_trials_that_wait_for_others_need_no_new_actors(tmp_path: Path) -> None:
    """Two baselines at a time, then a trial that both replicates wait for."""
    assert run_program(_SWEEP, tmp_path)[-1] == "5 2"
