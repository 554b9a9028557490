"""What Tune had decided of a trial that was being saved when the sweep was interrupted, and remembers: under
a real Ray Tune, with trials that count their epochs and train nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.sweep_process import run_program

_SWEEP = """
import json
import shutil
import signal
from pathlib import Path
import ray
from ray import tune
from orchestrator.running.folder import prepare_folder
from orchestrator.search.plan import SearchPlan
from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.spec.sweep_spec import SweepSpec
from tests.orchestrator.own_trainables import trained
from trainables.checkpoints import CHECKPOINT

EPOCHS = 6

class Counts(tune.Trainable):
    def setup(self, config, settings=None, corpus=None):
        self.epoch = 0

    def reset_config(self, new_config):
        self.epoch = 0
        return True

    def step(self):
        self.epoch += 1
        result = {"epoch": self.epoch, "metrics": {}}
        if self.epoch < EPOCHS:
            return result | {"standing": {"behind": self.epoch, "nll": 1.0, "kl": 1.0}}
        final = {f"best/{name}": 1.0 for name in ("nll", "kl", "nll_plus_kl")}
        return result | {"final": final, "done": True}

    def save_checkpoint(self, folder):
        Path(folder, CHECKPOINT).write_text(str(self.epoch))

    def load_checkpoint(self, folder):
        self.epoch = int(Path(folder, CHECKPOINT).read_text())

class Interrupts(tune.Callback):
    def __init__(self, happened):
        self.happened, self.trial = happened, None

    def on_trial_result(self, iteration, trials, trial, result, **info):
        if self.trial is None and trial.config["kind"] == "trial" and self.happened(trial, result):
            self.trial = trial
            signal.raise_signal(signal.SIGINT)

def interrupted_and_resumed(name, happened):
    spec = prepare_folder(SweepSpec.load(Path("spec.yaml"), {"name": name}))
    searcher = SweepSearcher(SearchPlan.of(spec))
    interrupts = Interrupts(lambda trial, result: happened(searcher, trial, result))
    trained(spec, Counts, searcher, [interrupts])
    for folder in Path(interrupts.trial.local_path).glob("checkpoint_*"):
        shutil.rmtree(folder)
    resumed = SweepSearcher(SearchPlan.of(spec))
    trials = trained(spec, Counts, resumed, resume=True)
    (again,) = [trial for trial in trials if trial.trial_id == interrupts.trial.trial_id]
    result = again.last_result
    print(json.dumps([name, len(trials), again.status, result["epoch"], "final" in result, resumed.finished]))

ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
Path("spec.yaml").write_text(
    "{variants: [vanilla], trials: 4, replicates: 0, baseline_seeds: 1, baseline_trials: 0, storage: sweeps,"
    f" epochs: {EPOCHS}, max_concurrent: 1, resources: {{cpus: 1}},"
    " search: {sampler: grid, halving: {eta: 2, first: 1, rungs: 2, elbo_share: 1}},"
    " ranges: {learning_rate: {choices: [0.01, 0.02, 0.03, 0.04]}}}"
)
interrupted_and_resumed("ended", lambda searcher, trial, result: "final" in result)
interrupted_and_resumed("paused", lambda searcher, trial, result: trial.trial_id in searcher.pauses.waiting)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_interrupted_trial_that_begins_anew_is_not_stopped_at_its_first_save(tmp_path: Path) -> None:
    """Both in the moment between a result and the save behind it: the last one's, and one's at a rung. The
    first was lost without a word, and for the second the sweep waited for ever."""
    told = [json.loads(line) for line in run_program(_SWEEP, tmp_path) if line.startswith("[")]
    assert told == [
        ["ended", 5, "TERMINATED", 6, True, True],
        ["paused", 5, "TERMINATED", 6, True, True],
    ]
