"""Small sweeps with known figures, for the tests of what compares them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orchestrator.analysis.results import TrialResult
from orchestrator.analysis.sweeps.comparison import ComparedSweep
from orchestrator.analysis.sweeps.stored_sweep import StoredSweep
from orchestrator.reports.stored_reports import StoredReport
from orchestrator.search.trial_plan import Kind, TrialPlan

SENTENCES = 20


def finished(
    trial_id: str, variant: str, kind: Kind, seed: int, total: float, kl: float, rng: np.random.Generator,
    noise: float, **knobs: object,
) -> TrialResult:  # fmt: skip
    """A training of that mean NLL + KL on test; its sentences differ, and by `noise` its seed counts."""
    losses_N = total + np.linspace(-5, 5, SENTENCES) + rng.normal(0, noise, SENTENCES) + rng.normal(0, noise)
    losses_N = losses_N.astype(np.float32) if noise else np.full(SENTENCES, total, np.float32)
    mean = float(losses_N.astype(np.float64).mean())
    figures = {"nll": mean - kl, "kl": kl, "nll_plus_kl": mean, "active_units": 2.0 * kl}
    final = {f"test/{name}": value for name, value in figures.items()} | {"best/nll_plus_kl": mean}
    searched = tuple(name for name in knobs if name != "decoder")
    return TrialResult(trial_id, TrialPlan(variant, kind, knobs, seed, searched), final, {}, losses_N)


def sweep_results(
    baseline: float, best: float, *, noise: float = 0.0, vanilla: bool = False, decoder: str | None = None,
    seed: int = 0,
) -> list[TrialResult]:  # fmt: skip
    """Three baselines, a searched cyclical training at KL 2 and its three replicates; vanilla on three seeds
    at the baseline's level."""
    rng = np.random.default_rng(seed)
    more = {} if decoder is None else {"decoder": decoder}
    found = [
        finished(f"b{number}", "language_model", "baseline", number, baseline, 0.0, rng, noise, **more)
        for number in range(3)
    ]
    found.append(finished("t0", "cyclical", "trial", 0, best, 2.0, rng, noise, cycles=4, **more))
    found += [
        finished(f"r{number}", "cyclical", "replicate", number, best, 2.0, rng, noise, cycles=4, **more)
        for number in (1, 2, 3)
    ]
    if vanilla:
        found += [
            finished(f"v{number}", "vanilla", "trial", number, baseline, 0.01, rng, noise, **more)
            for number in range(3)
        ]
    return found


def stored(name: str, results: Sequence[TrialResult], entropy_floor: float | None = None) -> StoredSweep:
    return StoredSweep(
        name, "1", f"run-{name}", "FINISHED", f"small: {name}", "d1", entropy_floor, tuple(results)
    )


def compared(
    name: str, baseline: float = 13.0, best: float = 11.5, *, results: Sequence[TrialResult] | None = None,
    noise: float = 0.0, vanilla: bool = False, decoder: str | None = None, seed: int = 0,
) -> ComparedSweep:  # fmt: skip
    found = results
    if found is None:
        found = sweep_results(baseline, best, noise=noise, vanilla=vanilla, decoder=decoder, seed=seed)
    return StoredReport.of(stored(name, found)).compared
