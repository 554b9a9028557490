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

from orchestrator.examination.probe import Probe
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
        samples: of z, for each sentence.
        test_sentences: in the test split.
        iw_nll_N: IW-NLL in nats of N of them, the same in every run of a sweep that has as many.
        indices_N: their numbers in the split.
        texts: of the run that speaks for its configuration, None of the others.
        probe: of the same run, where the corpus has labels.
    """

    trial_id: str
    samples: int
    test_sentences: int
    iw_nll_N: tuple[float, ...]
    indices_N: tuple[int, ...]
    texts: Texts | None = None
    probe: Probe | None = None

    @classmethod
    def of(cls, trial_id: str, found: Examination) -> Examined:
        """From what a worker sent; probes the posterior means."""
        known = None
        if found.train is not None and found.test is not None:
            from orchestrator.examination.readings import probe  # two seconds

            train, test = found.train, found.test
            known = probe(train.mean_ND, train.labels_N, test.mean_ND, test.labels_N)
        weighted = found.weighted
        iw_nll_N, indices_N = tuple(weighted.iw_nll_N.tolist()), tuple(weighted.indices_N.tolist())
        return cls(trial_id, weighted.samples, found.test_sentences, iw_nll_N, indices_N, found.texts, known)

    @property
    def whole(self) -> bool:
        """Whether every test sentence was looked at."""
        return len(self.iw_nll_N) == self.test_sentences

    @property
    def losses_N(self) -> NDArray[np.float64]:
        """IW-NLL of each test sentence, NaN of those that were not looked at; what came out as no number is
        as bad as infinity."""
        losses_N = np.full(self.test_sentences, np.nan)
        losses_N[list(self.indices_N)] = np.nan_to_num(self.iw_nll_N, nan=np.inf, posinf=np.inf)
        return losses_N

    def final(self) -> dict[str, float]:
        """Metric names to values: they take the place of the trial's own."""
        losses_N = np.array(self.iw_nll_N)
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
    than the spec's or on the whole of test, counts as none."""
    most = len(corpus.test)
    enough = {most, most if spec.final_iw_sentences is None else min(most, spec.final_iw_sentences)}
    least = 1 if spec.final_iw_tolerance else spec.final_iw_samples
    found: dict[str, Examined] = {}
    for path in sorted((spec.folder / FOLDER).glob("*.json")):
        try:
            examined = _FORMAT.validate_json(path.read_bytes())
        except (OSError, ValidationError):
            continue
        sampled = least <= examined.samples <= spec.final_iw_samples
        if examined.test_sentences == most and sampled and len(examined.iw_nll_N) in enough:
            found[examined.trial_id] = examined
    return found
