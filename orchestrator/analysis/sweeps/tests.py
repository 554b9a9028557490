"""The best configurations of sweeps tested against each other, where that can be done."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orchestrator.analysis.frontier import best_of_each_variant
from orchestrator.analysis.iw_gain import trials_of_configurations
from orchestrator.analysis.paired_test import FEWEST_SEEDS, Difference, Noise, holm, paired_test

OVERALL = "best of all"
COLUMNS = (
    "first", "second", "what", "first_variant", "first_knobs", "first_runs", "second_variant", "second_knobs",
    "second_runs", "difference", "se", "p", "p_holm", "reason",
)  # fmt: skip

_NO_TEST = Difference(math.nan, [Noise(math.nan)])


class Tested(Protocol):
    """What a test needs of a sweep; see ``sweep_comparison.ComparedSweep``."""

    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> str | None: ...
    @property
    def configurations(self) -> pd.DataFrame: ...
    @property
    def runs(self) -> pd.DataFrame: ...
    @property
    def losses(self) -> Mapping[str, NDArray[np.float64]]: ...


@dataclass(frozen=True)
class _Side:
    """A sweep's best configuration, and the trials that its figures rest on."""

    variant: str
    decoder: str
    knobs: str
    names: Sequence[str]
    missing: bool
    losses: Sequence[NDArray[np.float64]]


def pair_tests(sweeps: Sequence[Tested]) -> pd.DataFrame:
    """A row for each pair of sweeps and each variant that both have, and one for the best of all variants.

    The configuration that speaks for a variant is that of the sweep's own table and verdicts; the best of all
    is the first of these by ``best_first``. Where that is one variant in both sweeps, a second row
    would be the same test again and is left out.

    Columns: ``difference`` of mean NLL + KL, first − second, negative where the first is better; ``se``
    and ``p`` as in ``paired_test``; ``p_holm`` adjusted for the rows of the table; ``reason`` says why there
    is no test, or what it mixes, and is empty elsewhere.
    """
    rows = [row for one, two in combinations(sweeps, 2) for row in _rows(one, two)]
    table = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "p_holm"])
    table["p_holm"] = holm(table["p"].to_numpy(dtype=np.float64))
    return table[list(COLUMNS)]


def _rows(first: Tested, second: Tested) -> Iterator[dict[str, object]]:
    ours, theirs = (_sides(sweep) for sweep in (first, second))
    pairs = {OVERALL: (next(iter(ours.values()), None), next(iter(theirs.values()), None))}
    pairs |= {variant: (side, theirs[variant]) for variant, side in ours.items() if variant in theirs}
    done: list[tuple[_Side, _Side]] = []
    for what, (one, two) in pairs.items():
        if one is None or two is None or any(one is a and two is b for a, b in done):
            continue
        done.append((one, two))
        reason = _obstacle(first, second, one, two)
        test = _NO_TEST if reason else paired_test(one.losses, two.losses)
        if not reason and one.decoder != two.decoder:
            reason = f"decoders differ: {one.decoder}, {two.decoder}"
        yield {
            "first": first.name, "second": second.name, "what": what,
            "first_variant": one.variant, "first_knobs": one.knobs, "first_runs": len(one.names),
            "second_variant": two.variant, "second_knobs": two.knobs, "second_runs": len(two.names),
            "difference": test.value, "se": test.se, "p": test.p, "reason": reason,
        }  # fmt: skip


def best_first(configurations: pd.DataFrame) -> pd.DataFrame:
    """The configuration that speaks for each variant, the highest gain first: fresh ones before picked ones,
    which are ordered by their gain on validation."""
    best = best_of_each_variant(configurations)
    gain = best["gain"].where(best["fresh"], best["valid_gain"].fillna(best["gain"]))
    order = best.assign(stale=~best["fresh"], worse=-gain).sort_values(["stale", "worse"], kind="stable")
    return best.loc[order.index]


def _sides(sweep: Tested) -> dict[str, _Side]:
    order = best_first(sweep.configurations)
    members = trials_of_configurations(sweep.runs)
    sides = {}
    for row in order.itertuples():
        key = (str(row.variant), str(row.decoder), str(row.knobs))
        names = members.get(key, [])
        found = [sweep.losses[name] for name in names if name in sweep.losses]
        sides[key[0]] = _Side(*key, names, len(found) < len(names), found)
    return sides


def _obstacle(first: Tested, second: Tested, one: _Side, two: _Side) -> str:
    """Why the two cannot be tested; empty where they can."""
    if first.digest is None or second.digest is None:
        return "the corpus of a sweep is not known"
    if first.digest != second.digest:
        return "different corpora"
    for sweep, side in ((first, one), (second, two)):
        if len(side.names) < FEWEST_SEEDS:
            return f"{sweep.name} has {len(side.names)} of the {FEWEST_SEEDS} seeds that a test needs"
        if side.missing:
            return f"{sweep.name} has no losses of single sentences"
    lengths = {len(losses) for side in (one, two) for losses in side.losses}
    if len(lengths) > 1:
        return f"different numbers of test sentences: {', '.join(map(str, sorted(lengths)))}"
    if not all(np.isfinite(losses).all() for side in (one, two) for losses in side.losses):
        return "losses that are not finite"
    return ""
