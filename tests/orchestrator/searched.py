"""A searcher that is asked and told without any training: a result is computed from the configuration."""

from __future__ import annotations

import random
from typing import Any

from ray.tune.search import Searcher

from orchestrator.search.plan import SearchPlan
from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.search.trial_plan import TrialPlan
from orchestrator.spec.sweep_spec import SweepSpec

Result = dict[str, Any]


def plan_of(**options: Any) -> SearchPlan:
    """Vanilla, which has no knobs to search, and cyclical; five trials each."""
    asked = {"variants": "vanilla,cyclical", "trials": 5, "baseline_seeds": 2, "replicates": 2, "seed": 7}
    return SearchPlan.of(SweepSpec.load(None, {"name": "s", **asked, **options}))


def loss(config: Result) -> float:
    """Between 10 and 12; lowest for a high word keep rate."""
    return 11.0 - float(config["knobs"].get("word_keep_rate", 0.5)) + random.Random(str(config)).random()


def value(config: Result) -> Result:
    return final(loss(config))


def final(nll_plus_kl: float, kl: float = 1.0) -> Result:
    """The last, flat result of a training that came to these figures on validation."""
    return {"final/best/nll": nll_plus_kl - kl, "final/best/kl": kl}


def finish(searcher: SweepSearcher, at_once: int = 2, start: int = 0) -> list[TrialPlan]:
    """Runs a sweep to its end with so many trials at a time, the oldest ending first."""
    running: list[tuple[str, Result]] = []
    asked: list[TrialPlan] = []
    while True:
        trial_id = f"t{start + len(asked)}"
        config = searcher.suggest(trial_id) if len(running) < at_once else None
        if config == Searcher.FINISHED and not running:
            return asked
        if isinstance(config, dict):
            running.append((trial_id, config))
            asked.append(TrialPlan.from_config(config))
        else:
            done_id, done = running.pop(0)
            searcher.on_trial_complete(done_id, value(done))
