"""A sweep whose trials pause at rungs, by Ray; interrupted while some pause, and gone on with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from orchestrator.search.rungs import NOT_PROMOTED
from tests.sweep_process import HALVING, Sweep, reader

RUNGS = (3, 4)
"""After how many epochs the weight has been whole for one, and for two."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_trials_pause_go_on_and_are_given_up_over_an_interruption(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    output, again = sweep.interrupted_and_resumed(HALVING, 3)
    trials = sweep.trials("s")
    assert Counter(trials["kind"]) == Counter(baseline=1, trial=8, replicate=1)
    searched = trials[trials["kind"] == "trial"].set_index("trial_id")
    stopped = searched[searched["failure"] == NOT_PROMOTED]
    whole = searched[searched["failure"] == ""]
    assert len(stopped) + len(whole) == 8
    assert len(whole) >= 2  # of 8 at least 4 go on from the first rung, and of these at least 2
    assert f"cyclical: {len(stopped)} of 8 trials stopped early, at a rung" in " ".join(again.split())
    assert again.count("stopped (not promoted)") + output.count("stopped (not promoted)") == len(stopped)
    runs = reader(sweep).trials()
    for trial_id, run in runs.items():
        epochs = [step for step, _ in reader(sweep).history(trial_id, "kl")]
        assert epochs == list(range(1, len(epochs) + 1))  # none twice
        if trial_id in stopped.index:
            assert run.info.status == "KILLED"
            assert len(epochs) in RUNGS
            assert "paused" in run.data.tags["orchestrator.problem"]
        else:
            assert run.info.status == "FINISHED"
            assert len(epochs) == 8
    best = trials[trials["kind"] == "replicate"]["knobs"].item()
    assert best in set(whole["knobs"])  # what is run again was trained to its end
