"""What earlier sweeps already know of a sweep's configurations, so that its studies begin with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.analysis.feasibility import baseline_losses
from orchestrator.analysis.results import TrialResult
from orchestrator.analysis.sweeps.stored_sweep import StoredSweep
from orchestrator.common.problems import StoreError
from orchestrator.common.wording import plural
from orchestrator.recorded.sweep_reader import SweepReader
from orchestrator.search.configurations import configuration, inside
from orchestrator.search.plan import SearchPlan
from orchestrator.search.study import Known
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sweep_spec import SweepSpec


@dataclass(frozen=True)
class EarlierTrials:
    """Trials of one earlier sweep that a search can use, and how many there were in all."""

    sweep: str
    known: tuple[Known, ...]
    tried: int

    @property
    def note(self) -> str:
        """How many are used; the others had other fixed knobs, ranges or decoders."""
        return f"{self.sweep}: {len(self.known)} of {plural(self.tried, 'trial')} known to the search"


def earlier_trials(spec: SweepSpec, plan: SearchPlan, digest: str) -> list[EarlierTrials]:
    """Those of `search.warm_start`.

    Args:
        digest: of this sweep's corpus.

    Raises:
        SpecError: such a sweep is not in MLflow, or is over another corpus, or of another length.
    """
    found = []
    for name in spec.search.warm_start:
        try:
            stored = SweepReader(spec.tracking_uri).read(name)
        except StoreError as error:
            raise SpecError(f"search.warm_start: {error}") from None
        for what, theirs, ours in (
            ("corpus", stored.corpus_digest, digest),
            ("length", stored.length, str(spec.epochs)),
        ):
            if theirs != ours:
                raise SpecError(
                    f"search.warm_start: sweep {name!r} must have this sweep's {what}, {ours}, got {theirs}"
                )
        searched = [result for result in stored.results if result.final and not result.plan.fresh]
        found.append(EarlierTrials(name, tuple(_usable(searched, stored, plan)), len(searched)))
    return found


def _usable(trials: list[TrialResult], stored: StoredSweep, plan: SearchPlan) -> Iterator[Known]:
    """One of each configuration that this search could ask for itself."""
    baselines = baseline_losses(stored.results)
    variants = {each.variant: each for each in plan.variants}
    seen: set[Any] = set()
    for result in trials:
        variant, own = variants.get(result.plan.variant), baselines.get(result.plan.build().decoder_label)
        if variant is None or own is None or not {"best/nll", "best/kl"} <= result.final.keys():
            continue
        params = {knob: result.plan.knobs[knob] for knob in result.plan.searched}
        fixed = {knob: value for knob, value in result.plan.knobs.items() if knob not in params}
        key = (variant.variant, configuration(params))
        if inside(params, variant.distributions) and fixed == variant.knobs and key not in seen:
            seen.add(key)
            nll, kl = result.final["best/nll"], result.final["best/kl"]
            yield Known(variant.variant, params, nll - own, kl)
