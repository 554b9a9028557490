"""Which configurations need more fresh seeds: the rule between the rounds of `SweepSearcher`.

They go where a remedy looks better than its baseline by more than a tie, and the test has not
decided it. What is clear, or behind, gets none. `SeedRounds` says how the level is kept whatever this does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.frontier import configurations
from orchestrator.analysis.results import TrialResult, losses_by_trial, runs_frame
from orchestrator.analysis.verdict import MARGIN, Verdict
from orchestrator.search.rounds import SeedRounds
from orchestrator.search.trial_plan import Ended, TrialPlan


def undecided(
    rounds: SeedRounds, losses: Callable[[str], NDArray[np.float32] | None], ended: Sequence[Ended]
) -> list[TrialPlan]:
    """A replicate of each configuration that needs more.

    Args:
        losses: NLL + KL of each test sentence of a trial, where that is known.
        ended: all trials on seeds that took no part in the search.
    """
    results = [TrialResult(each.trial_id, each.plan, each.final, {}, losses(each.trial_id)) for each in ended]
    if not results:
        return []
    table = configurations(runs_frame(results), losses_by_trial(results), rounds=rounds)
    open_ = (table["kind"] == "replicate") & (table["gain_verdict"] == Verdict.UNDECIDED)
    open_ &= (table["gain"] > MARGIN * table["baseline_nll"]) & (table["runs"] < rounds.most)
    plans = {each.trial_id: each.plan for each in ended}
    return [plans[trial_id] for trial_id in table.loc[open_, "trial_id"]]
