"""Trials of a small sweep as results, with the history of their epochs, for the tests of the report."""

from __future__ import annotations

import numpy as np

from orchestrator.analysis.results import COSTS, TrialResult
from orchestrator.search.trial_plan import Kind, TrialPlan

SENTENCES = 20


def trained(
    trial_id: str, variant: str, kind: Kind, seed: int, totals: list[float], *, tokens: float = 100.0,
    failure: str | None = None, **knobs: object,
) -> TrialResult:  # fmt: skip
    """A training with these NLL + KL on validation, an epoch each, of so many tokens and a second. The KL is
    half the number of the epoch, or 0 for a baseline; on test all sentences lose the lowest total."""
    plan = TrialPlan(variant, kind, knobs, seed, tuple(knobs))
    history = [epoch(number, total, tokens, kind) for number, total in enumerate(totals, 1)]
    cost = {name: history[-1][name] for name in COSTS} if history else {}
    if failure:
        return TrialResult(trial_id, plan, {}, cost, None, failure, history)
    best = min(history, key=lambda figures: figures["nll_plus_kl"])
    names = ("nll", "kl", "nll_plus_kl", "mutual_information", "active_units")
    final = {f"test/{name}": best[name] for name in names} | {"best/nll_plus_kl": best["nll_plus_kl"]}
    losses_N = np.full(SENTENCES, best["nll_plus_kl"], np.float32)
    return TrialResult(trial_id, plan, final, cost, losses_N, None, history)


def epoch(number: int, total: float, tokens: float, kind: Kind) -> dict[str, float]:
    kl = 0.0 if kind == "baseline" else 0.5 * number
    return {
        "epoch": float(number), "nll": total - kl, "kl": kl, "nll_plus_kl": total, "nll_plus_kl_se": 0.1,
        "mutual_information": 0.9 * kl, "active_units": 2.0 * kl, "kl_weight": 1.0, "seconds": float(number),
        "gpu_seconds": 0.0, "optimizer_steps": 10.0 * number, "inner_steps": 0.0, "tokens": tokens * number,
    }  # fmt: skip


def small_sweep() -> list[TrialResult]:
    """Baselines of 400 tokens at 13.0 and 13.2; annealed at 12.0 and 12.4 on fresh seeds, as much;
    aggressive at ten times the cost; a picked cyclical training, and one that diverged."""
    return [
        trained("b0", "language_model", "baseline", 0, [20.0, 15.0, 13.0, 13.1]),
        trained("b1", "language_model", "baseline", 1, [20.0, 15.0, 14.0, 13.2]),
        trained("t0", "annealed", "trial", 0, [20.0, 15.0, 13.0, 11.0], kl_start=0.1),
        trained("r0", "annealed", "replicate", 1, [20.0, 15.0, 12.0, 12.5], kl_start=0.1),
        trained("r1", "annealed", "replicate", 2, [22.0, 15.0, 13.0, 12.4], kl_start=0.1),
        trained("a0", "aggressive", "trial", 0, [19.0, 14.0, 12.0, 11.5], tokens=1000.0, kl_start=1),
        trained("a1", "aggressive", "replicate", 1, [19.0, 14.0, 12.0, 11.5], tokens=1000.0, kl_start=1),
        trained("a2", "aggressive", "replicate", 2, [19.0, 14.0, 12.2, 11.7], tokens=1000.0, kl_start=1),
        trained("c0", "cyclical", "trial", 0, [20.0, 15.0, 13.0, 12.9], cycles=4),
        trained("c1", "cyclical", "trial", 0, [20.0, 16.0], failure="diverged", cycles=2),
    ]
