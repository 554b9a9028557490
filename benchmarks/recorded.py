"""The recorded learning curves as a table of configurations, and what a set of them is worth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.record_curves import read_curves
from orchestrator.search.objectives import Frontier, Point
from trainables.training.collapse import NOISE, annealed

FLOOR = 0.5
"""The least KL that counts, nats."""


@dataclass(frozen=True)
class Curve:
    """One recorded training: points over epochs (NLL less the baseline's NLL + KL), and their cost."""

    points: Sequence[Point]
    tokens: NDArray[np.float64]
    best_epoch: int
    annealed: int
    """Epochs after which the KL weight stays where it ends."""
    collapsed: Sequence[int]
    """Of each epoch, for how many in a row the weight has been whole and the latent variable dead."""

    @property
    def final(self) -> Point:
        return self.points[self.best_epoch - 1]

    def best(self, epochs: int) -> Point:
        """The point with the lowest NLL + KL of the first so many epochs."""
        return min(self.points[:epochs], key=lambda point: point.nll_plus_kl)


@dataclass(frozen=True)
class Configuration:
    """A configuration and its curve on each seed."""

    variant: str
    knobs: Mapping[str, Any]
    curves: Sequence[Curve]

    @property
    def true(self) -> Point:
        """The mean of its seeds."""
        finals = [curve.final for curve in self.curves]
        return Point(float(np.mean([p.nll for p in finals])), float(np.mean([p.kl for p in finals])))


def read_table(path: Path, least: int | None = None) -> dict[str, list[Configuration]]:
    """The recorded configurations of each variant that have been trained on every seed."""
    records = read_curves(path)
    baselines: dict[str, list[float]] = {}
    for each in records:
        if each["variant"] == "language_model":
            baselines.setdefault(each["decoder"], []).append(float(min(np.add(each["nll"], each["kl"]))))
    found: dict[tuple[str, str], list[Curve]] = {}
    for each in records:
        if each["variant"] != "language_model" and not each["failure"]:
            key = (each["variant"], json.dumps(each["knobs"]))
            found.setdefault(key, []).append(_curve(each, float(np.mean(baselines[each["decoder"]]))))
    seeds = least or max(map(len, found.values()))
    table: dict[str, list[Configuration]] = {}
    for (variant, knobs), curves in found.items():
        if len(curves) >= seeds:
            table.setdefault(variant, []).append(Configuration(variant, json.loads(knobs), curves[:seeds]))
    return table


def _curve(record: Mapping[str, Any], baseline: float) -> Curve:
    whole = annealed(record["kl_weight"])
    dead = (np.array(record["active_units"]) == 0) & (np.array(record["mutual_information"]) < NOISE)
    dead[:whole] = False
    rows: list[int] = []
    for each in dead:
        rows.append(rows[-1] + 1 if each and rows else int(each))
    return Curve(
        [Point(nll - baseline, kl) for nll, kl in zip(record["nll"], record["kl"], strict=True)],
        np.array(record["tokens"], dtype=np.float64),
        record["best_epoch"],
        whole,
        rows,
    )


def gain(points: Sequence[Point]) -> float:
    """The area in nats² that the frontier wins from the baseline's line, from the floor on KL upwards."""
    return Frontier(FLOOR, 0.0).gain(points)
