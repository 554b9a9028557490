"""What a sweep found at equal compute: every run judged by the best epoch that a budget pays for.

Pure functions on data frames. All figures are on the validation split, in nats per sentence: test is
evaluated once, at the end of a training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from orchestrator.analysis.comparison import FAILED, IDENTITY, OBJECTIVES, checked_runs, compared

TOKENS, SECONDS = "tokens", "seconds"
OVER_BUDGET = "over_budget"
EXCEEDS = 1.1
FIGURES = (
    *OBJECTIVES, "nll_plus_kl_se", "mutual_information", "active_units", "epoch", "epochs", "cost",
    "whole_cost",
)  # fmt: skip
COLUMNS = (
    "budget_in", "budget", "trial_id", "variant", "kind", "decoder", "knobs", "runs", FAILED, OVER_BUDGET,
    "fresh", *FIGURES, "nll_seed_se", "kl_seed_se", "baseline_nll", "gain", "gain_se", "on_frontier",
    "seed_noise_known",
)  # fmt: skip
_AVERAGED = (*FIGURES, "valid_nll_plus_kl")
_SELECTING = ("valid_nll_plus_kl", "valid_gain")


@dataclass(frozen=True)
class Budget:
    """An amount of a cost that histories have: predicted words if in "tokens", or "seconds", say."""

    cost: str
    amount: float


def baseline_budget(runs: pd.DataFrame, cost: str = TOKENS) -> Budget | None:
    """What the baselines that finished cost on average, one plain training; None where nobody knows.

    Args:
        runs: a row a run: ``kind``, ``nll_plus_kl`` (not finite where it failed) and the cost.
    """
    if runs.empty or cost not in runs:
        return None
    finished = runs[(runs["kind"] == "baseline") & np.isfinite(runs["nll_plus_kl"])]
    amount = float(finished[cost].mean())
    return Budget(cost, amount) if math.isfinite(amount) else None


def equal_compute(
    runs: pd.DataFrame, histories: Mapping[str, pd.DataFrame], budget: Budget | None
) -> pd.DataFrame:
    """One row per configuration at the budget with its gain over the baseline, best first; none without one.

    Args:
        runs: a row a run: the columns of ``IDENTITY``, and ``failure``, empty where the run did not fail.
        histories: each run's epochs by trial id: validation metrics and the cost so far.
        budget: what every run may cost.

    A run counts with its epoch of the lowest NLL + KL among those whose cumulative cost lies within the
    budget; ``epochs`` says how many do, ``epoch`` and ``cost`` which it was and what it had cost,
    ``whole_cost`` what the run cost in the end. A run whose first epoch costs more has no figures and counts
    in ``over_budget``. One that failed before its history shows a cost beyond the budget counts in
    ``failed``: that its next epoch would have been beyond is not known.

    Means, ``fresh``, gain and frontier are as in `frontier.configurations`, with two differences. The
    standard error ``gain_se`` is that of the training seeds alone: it says how sure the gain is on these
    validation sentences, not on others (``nll_plus_kl_se`` is the error of the mean over them, of one run,
    unpaired). And the best of several epochs is a little too good, here as for the baseline.

    A schedule is planned for the sweep's epochs. Where the budget pays for fewer it is cut off, and a
    training planned for the budget might have done better.
    """
    runs = runs.reindex(columns=[*IDENTITY, "failure"])
    budget, runs = (budget, runs) if budget is not None else (Budget("", math.nan), runs[:0])
    standing = pd.DataFrame(
        [
            _standing(histories.get(str(row["trial_id"])), str(row["failure"]), budget)
            for _, row in runs.iterrows()
        ],
        columns=[*FIGURES, OVER_BUDGET],
        index=runs.index,
    )
    over = standing.pop(OVER_BUDGET).astype(bool)
    judged = pd.concat([runs, standing], axis=1).assign(valid_nll_plus_kl=standing["nll_plus_kl"])
    judged = checked_runs(judged, _AVERAGED).assign(**{OVER_BUDGET: over})
    judged[FAILED] &= ~over
    table = compared(judged, _AVERAGED, None, counts=(FAILED, OVER_BUDGET))
    return table.assign(budget_in=budget.cost, budget=budget.amount)[[*COLUMNS, *_SELECTING]]


def exceeds(table: pd.DataFrame) -> bool:
    """Whether some configuration costs a tenth more than the budget, so that equal compute matters."""
    return bool((table["whole_cost"] > EXCEEDS * table["budget"]).any())


def _standing(history: pd.DataFrame | None, failure: str, budget: Budget) -> dict[str, object]:
    """A run's figures at the budget."""
    if history is None:
        return {OVER_BUDGET: False}
    costs = history[budget.cost]
    paid = history[costs <= budget.amount]
    row: dict[str, object] = {
        "epochs": len(paid), "whole_cost": float(costs.iloc[-1]), OVER_BUDGET: not paid["eligible"].any()
    }  # fmt: skip
    paid = paid[paid["eligible"]]
    if paid.empty or (failure and len(history[costs <= budget.amount]) == len(history)):
        return row
    best = paid.sort_values("nll_plus_kl", kind="stable").iloc[0]
    return row | {name: best[name] for name in FIGURES if name in best.index} | {"cost": best[budget.cost]}
