"""What a sweep's fresh seeds cost, beside what a fixed number of them for each would have cost.

A sweep spends them where the test needs them: none where there is nothing to confirm, more where it does not
decide. That is neither always more nor always less than a fixed number, and the report says which.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean

from orchestrator.analysis.equal_compute import TOKENS
from orchestrator.analysis.results import TrialResult
from orchestrator.common.wording import plural, thousands
from orchestrator.search.rounds import SeedRounds
from trainables.variants import BASELINE


def seed_cost(results: Iterable[TrialResult], rounds: SeedRounds | None) -> list[str]:
    """A sentence with both, in predicted words ("tokens"); none where each got as many as the first round
    has.

    A training more or less is taken to cost what the fresh ones of its variant do on average, of a baseline
    those with its decoder; where there are none, what its searched ones do.
    """
    fresh: dict[tuple[str, str], list[float]] = defaultdict(list)
    searched: dict[tuple[str, str], list[float]] = defaultdict(list)
    for result in results:
        tokens = result.cost.get(TOKENS, math.nan)
        if result.final and math.isfinite(tokens):
            plan = result.plan
            who = (plan.variant, plan.build().decoder_label if plan.variant == BASELINE else "")
            (fresh if plan.fresh else searched)[who].append(tokens)
    compared = dict.fromkeys((*fresh, *searched))
    if rounds is None or not rounds.first or all(len(fresh[who]) == rounds.first for who in compared):
        return []
    trainings, spent = sum(map(len, fresh.values())), sum(map(sum, fresh.values()))
    fixed = rounds.first * sum(fmean(fresh[who] or searched[who]) for who in compared)
    return [
        f"fresh seeds: {plural(trainings, 'training')}, {thousands(spent)} tokens; "
        f"{rounds.first} for each of {len(compared)} baselines and remedies would have been "
        f"{rounds.first * len(compared)}, {thousands(fixed)} tokens"
    ]
