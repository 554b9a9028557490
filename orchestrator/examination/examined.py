"""What the examination of a run found, and where a sweep keeps it: a file a run, so that a resume goes on."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from orchestrator.examination.probe import Probe, probe
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.common.metrics import standard_error
from trainables.evaluation.examination import Examination
from trainables.evaluation.texts import Texts
from trainables.text.splits import Corpus

FOLDER = "examined"


@dataclass(frozen=True)
class Examined:
    """One run's findings.

    Attributes:
        iw_nll_N: IW-NLL of each of N test sentences in nats, the same sentences in every run of a sweep.
        samples: of z, for each sentence.
        texts: of the run that speaks for its configuration, None of the others.
        probe: of the same run, where the corpus has labels.
    """

    trial_id: str
    samples: int
    iw_nll_N: tuple[float, ...]
    texts: Texts | None = None
    probe: Probe | None = None

    @classmethod
    def of(cls, trial_id: str, found: Examination) -> Examined:
        """From what a worker sent; probes the posterior means."""
        known = None
        if found.train is not None and found.test is not None:
            train, test = found.train, found.test
            known = probe(train.mean_ND, train.labels_N, test.mean_ND, test.labels_N)
        weighted = found.weighted
        return cls(trial_id, weighted.samples, tuple(weighted.iw_nll_N.tolist()), found.texts, known)

    @property
    def losses_N(self) -> NDArray[np.float64]:
        """`iw_nll_N` as an array."""
        return np.array(self.iw_nll_N)

    def final(self) -> dict[str, float]:
        """Metric names to values: they take the place of the trial's own."""
        losses_N = self.losses_N
        figures = {
            "test/iw_nll": float(losses_N.mean()),
            "test/iw_nll_se": standard_error(losses_N),
            "test/iw_samples": float(self.samples),
            "test/iw_sentences": float(len(losses_N)),
        }
        return figures | (self.probe.named() if self.probe else {})


_FORMAT = TypeAdapter(Examined)


def keep(folder: Path, examined: Examined) -> None:
    """Writes the findings into the sweep's folder, whole or not at all."""
    target = folder / FOLDER / f"{examined.trial_id}.json"
    target.parent.mkdir(exist_ok=True)
    partial = target.with_suffix(".partial")
    partial.write_text(json.dumps(dataclasses.asdict(examined), ensure_ascii=False), encoding="utf-8")
    os.replace(partial, target)


def kept(spec: SweepSpec, corpus: Corpus) -> dict[str, Examined]:
    """All findings in the sweep's folder by trial id. What cannot be read, or was found with another effort
    than the spec's, counts as none."""
    most = len(corpus.test)
    sentences = most if spec.final_iw_sentences is None else min(most, spec.final_iw_sentences)
    found: dict[str, Examined] = {}
    for path in sorted((spec.folder / FOLDER).glob("*.json")):
        try:
            examined = _FORMAT.validate_json(path.read_bytes())
        except (OSError, ValidationError):
            continue
        if (examined.samples, len(examined.iw_nll_N)) == (spec.final_iw_samples, sentences):
            found[examined.trial_id] = examined
    return found
