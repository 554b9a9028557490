"""A sweep that stops what will not come to the frontier, by Ray; interrupted, and gone on with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from orchestrator.search.prospects import DOMINATED, LEAST
from tests.sweep_process import HALVING, Sweep, control_c, read_until, reader, trial_is_done, write_corpus

EPOCHS = 8
SPEC = HALVING.replace("halving: {eta: 2, first: 1, rungs: 2, elbo_share: 1}", "stop_dominated: true")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_dominated_trials_are_stopped_over_an_interruption(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    write_corpus(tmp_path / "text.txt")
    assert SPEC != HALVING
    (tmp_path / "s.yaml").write_text(SPEC)
    with sweep.started("s.yaml", "--name", "s") as process:
        read_until(process, trial_is_done(4))
        control_c(process)
        output, errors = process.communicate(timeout=600)
    assert process.returncode == 130, (output, errors)
    again = sweep.run("--resume", "s")
    assert again.returncode == 0, again.stderr
    trials = sweep.trials("s")
    assert Counter(trials["kind"]) == Counter(baseline=1, trial=8, replicate=1)
    searched = trials[trials["kind"] == "trial"].set_index("trial_id")
    stopped = searched[searched["failure"] == DOMINATED]
    whole = searched[searched["failure"] == ""]
    assert len(stopped) + len(whole) == 8
    assert len(stopped) > 0
    assert len(whole) >= LEAST
    assert f"cyclical: {len(stopped)} of 8 trials stopped early, as dominated" in " ".join(
        again.stdout.split()
    )
    runs, lowest = reader(sweep).trials(), dict[str, float]()
    for trial_id, run in runs.items():
        history = reader(sweep).history(trial_id, "nll_plus_kl")
        epochs = [step for step, _ in history]
        lowest[trial_id] = min(value for _, value in history)
        assert epochs == list(range(1, len(epochs) + 1))  # none twice
        if trial_id in stopped.index:
            assert run.info.status == "KILLED"
            assert len(epochs) < EPOCHS
            assert run.data.tags["orchestrator.problem"] == (
                f"{len(epochs) - 2} epochs behind the end of its annealing: half as much again as was left of"
                " its variant's earlier trials there would not bring it to their frontier"
            )
        else:
            assert (run.info.status, len(epochs)) == ("FINISHED", EPOCHS)
    best = min(lowest[trial_id] for trial_id in whole.index)
    assert all(lowest[trial_id] > best for trial_id in stopped.index)  # nothing is feasible: by the sum
    assert trials[trials["kind"] == "replicate"]["knobs"].item() in set(whole["knobs"])
