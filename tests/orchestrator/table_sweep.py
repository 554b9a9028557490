"""The configurations of a small sweep, for the tests of tables and sentences."""

from __future__ import annotations

import numpy as np
import pandas as pd

from orchestrator.analysis.frontier import configurations

KNOBS = "anneal_delay=14.6 anneal_rate=0.189 anneal_shape=logistic kl_start=0.1"


def sweep(
    offset: float = 0.0,
    *,
    with_baseline: bool = True,
    replicated: bool = True,
    still_to_gain: float = 0.01,
) -> pd.DataFrame:
    """Baselines 13.6, 13.7, 13.8; vanilla beside them; annealed 1.9 nats below, picked from two."""
    rows = [
        ("b", "language_model", "baseline", s, "", 13.6 + 0.1 * s, 0.0) for s in range(3) if with_baseline
    ]
    rows += [("v", "vanilla", "trial", s, "", 13.61 + 0.1 * s, 0.001) for s in range(3)]
    rows += [
        ("t", "annealed", "trial", 42, KNOBS, 11.6, 3.0),
        ("u", "annealed", "trial", 42, "kl_start=0", 13.9, 0.1),
    ]
    if replicated:
        rows += [("r", "annealed", "replicate", s, KNOBS, 11.7 + 0.1 * s, 3.0) for s in range(3)]
    frame = pd.DataFrame(
        [
            {"trial_id": f"{name}{seed}", "variant": variant, "kind": kind, "decoder": "lstm", "seed": seed,
             "knobs": knobs, "nll": total - kl + offset, "kl": kl, "nll_plus_kl": total + offset,
             "iw_nll": total + offset - 0.25, "iw_nll_se": 0.1 + 0.01 * seed, "iw_samples": 500.0,
             "iw_sentences": 1200.0, "mutual_information": 0.9 * kl, "active_units": round(2 * kl),
             "still_to_gain": still_to_gain}
            for name, variant, kind, seed, knobs, total, kl in rows
        ]
    )  # fmt: skip
    losses = {str(r["trial_id"]): np.full(10, float(r["nll_plus_kl"])) for _, r in frame.iterrows()}
    return configurations(frame, losses)
