"""Training a recorded trial again: the command, and whether the figures are the same."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.common.commands import program
from orchestrator.common.environment import Environment
from orchestrator.recorded.trial import Points, RecordedTrial
from orchestrator.spec.dataset_source import DatasetSource
from trainables.train import ALL
from trainables.training.presets import usual_preset

DIVERGED = "diverged"
TIMES = ("seconds", "gpu_seconds")
"""Metrics that no repetition gives again."""


def module_of(trial: RecordedTrial) -> str:
    """The module that trains it: plain `trainables.train` but for a corpus that torch alone cannot read."""
    dataset = isinstance(trial.spec.corpus, DatasetSource)
    return "orchestrator.train" if dataset else "trainables.train"


def arguments_of(trial: RecordedTrial) -> list[str]:
    """That module's arguments: all that the trial's figures depend on."""
    spec, plan = trial.spec, trial.plan
    size = spec.vocabulary_size
    options: dict[str, object] = {
        "variant": plan.variant,
        "corpus": spec.corpus,
        "vocabulary-size": ALL if size is None else size,
        "max-sentences": spec.max_sentences,
        "corpus-seed": spec.seed,
        "corpus-digest": trial.digest,
        "epochs": spec.epochs.planned,
        "max-epochs": spec.epochs.limit,
        "seed": plan.seed,
        "iw-samples": spec.iw_samples,
        "iw-sentences": spec.iw_sentences,
        "threads": max(1, int(spec.resources.cpus)),
        "device": "cuda" if spec.resources.share else "cpu",
    }
    given = {f"--{name}": str(value) for name, value in options.items() if value is not None}
    flags = ["--deduplicate"] if spec.deduplicate else []
    settings = [("--set", f"{knob}={text}") for knob, text in _settings(trial)]
    return [*(text for pair in (*given.items(), *settings) for text in pair), *flags]


def command_of(trial: RecordedTrial) -> str:
    """The command as it is typed into a shell."""
    return shlex.join([program("python"), "-m", module_of(trial), *arguments_of(trial)])


@dataclass(frozen=True)
class Agreement:
    """One metric in two trainings: the first epoch where it differs, None if nowhere, and its values there or
    else at the end. One that is missing is None.
    """

    metric: str
    recorded: float | None
    now: float | None
    differs_at: int | None


def agreements(trial: RecordedTrial, record: Mapping[str, Any]) -> list[Agreement]:
    """For every metric whether it is the same to the last digit, in every epoch and at the end.

    Times are left out, and so is what an examination after the search found. Of a trial that was not trained
    to its end only what it has is compared.

    Args:
        record: what the training command wrote as JSON.
    """
    now = dict(_points(record))
    last = len(record["history"])
    recorded = {
        (metric, epoch): value
        for (metric, epoch), value in trial.points.items()
        if metric not in TIMES and epoch <= last
    }
    if not trial.finished and trial.failure != DIVERGED:
        now = {point: value for point, value in now.items() if point in recorded}
    metrics = list(dict.fromkeys(metric for metric, _ in (*now, *recorded)))
    return [_agreement(metric, recorded, now) for metric in metrics]


def cautions(trial: RecordedTrial, here: Environment) -> list[str]:
    """What to know before the command is run: why its figures may be others."""
    found: list[str] = []
    if not trial.finished and trial.failure is None:
        found.append("the trial was not trained to its end")
    elif trial.failure is not None:
        found.append(f"the trial failed: {trial.failure.replace('_', ' ')}")
    if trial.digest is None:
        found.append("the digest of the corpus is not recorded: it may have changed since")
    if trial.spec.resources.share:
        found.append("the trial ran on a GPU, where the last digits differ from run to run")
    if trial.environment is None:
        found.append("what the sweep ran with is not recorded: the digits may differ")
    elif different := here.differences(trial.environment):
        found.append(f"the digits may differ: {'; '.join(different)}")
    return found


def _agreement(metric: str, recorded: Points, now: Points) -> Agreement:
    epochs = sorted({epoch for name, epoch in (*recorded, *now) if name == metric})
    different = [epoch for epoch in epochs if recorded.get((metric, epoch)) != now.get((metric, epoch))]
    shown = (metric, different[0] if different else epochs[-1])
    return Agreement(metric, recorded.get(shown), now.get(shown), different[0] if different else None)


def _points(record: Mapping[str, Any]) -> Iterator[tuple[tuple[str, int], float]]:
    """What the tracker would have logged of it: finite values only."""
    history: Sequence[Mapping[str, float]] = record["history"]
    for epoch, metrics in enumerate(history, 1):
        own = {**metrics, **record["final"]} if epoch == len(history) else metrics
        for metric, value in own.items():
            if metric not in TIMES and math.isfinite(value):
                yield (metric, epoch), float(value)


def _settings(trial: RecordedTrial) -> list[tuple[str, str]]:
    """Each knob that the trial sets, and each that the command would take from the corpus's usual preset, as
    text that reads back to exactly its value; slots first."""
    variant = trial.plan.build()
    slots, preset = variant.slots(), usual_preset(str(trial.spec.corpus))
    usual = preset.knobs_for(variant, trial.plan.knobs) if preset else {}
    knobs = {**{knob: value for knob, value in variant.knobs().items() if knob in usual}, **trial.plan.knobs}
    first = [knob for knob in knobs if knob in slots]
    return [(knob, _text(knobs[knob])) for knob in (*first, *(knob for knob in knobs if knob not in slots))]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)
