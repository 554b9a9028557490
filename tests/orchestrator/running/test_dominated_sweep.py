"""A sweep that stops what will not come to the frontier, by Ray; interrupted, and gone on with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from orchestrator.common.wording import plural
from orchestrator.search.prospects import DOMINATED, LEAST
from tests.sweep_process import Sweep, reader

EPOCHS, ANNEALED, SLOW = 8, 2, [1e-6, 2e-6, 3e-6, 4e-6, 5e-6, 6e-6]
SPEC = f"""
corpus: text.txt
variants: {{cyclical: {{knobs: {{cycles: 1, ramp_share: 0.25, word_keep_rate: 1}}}}}}
ranges: {{learning_rate: {{choices: {[0.02, 0.01, *SLOW]}}}}}
trials: 8
epochs: {EPOCHS}
baseline_seeds: 1
baseline_trials: 0
replicates: 1
max_replicates: 1
max_concurrent: 1
search: {{sampler: grid, kl_floor: 0, stop_dominated: true}}
final_iw_samples: 5
final_iw_sentences: 5
knobs: {{hidden_size: 16, embedding_size: 8, latent_size: 4, batch_size: 8}}
"""
"""Two configurations that learn, and six that hardly begin to."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_dominated_trials_are_stopped_over_an_interruption(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    _, again = sweep.interrupted_and_resumed(SPEC, 4)
    trials = sweep.trials("s")
    assert Counter(trials["kind"]) == Counter(baseline=1, trial=8, replicate=1)
    searched = trials[trials["kind"] == "trial"].set_index("trial_id")
    stopped = searched[searched["failure"] == DOMINATED]
    whole = searched[searched["failure"] == ""]
    assert len(whole) == LEAST
    assert set(stopped["knobs"]) == {f"learning_rate={rate:g}" for rate in SLOW}
    assert "cyclical: 6 of 8 trials stopped early, as dominated" in " ".join(again.split())
    runs, lowest = reader(sweep).trials(), dict[str, float]()
    for trial_id, run in runs.items():
        history = reader(sweep).history(trial_id, "nll_plus_kl")
        epochs = [step for step, _ in history]
        lowest[trial_id] = min(value for _, value in history)
        assert epochs == list(range(1, len(epochs) + 1))  # none twice
        if trial_id in stopped.index:
            assert run.info.status == "KILLED"
            assert ANNEALED < len(epochs) < EPOCHS
            assert run.data.tags["orchestrator.problem"] == (
                f"{plural(len(epochs) - ANNEALED, 'epoch')} behind the end of its annealing: half as much"
                " again as was left of its variant's earlier trials there would not bring it to their"
                " frontier"
            )
        else:
            assert (run.info.status, len(epochs)) == ("FINISHED", EPOCHS)
    best = min(lowest[trial_id] for trial_id in whole.index)
    assert all(lowest[trial_id] > best for trial_id in stopped.index)  # nothing is feasible: by the sum
    assert trials[trials["kind"] == "replicate"]["knobs"].item() in set(whole["knobs"])
