"""Reads sweeps back from MLflow: everything that a report needs, from the tracking server alone."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, json_to_distribution

from orchestrator.analysis.results import COSTS, ERROR, TrialResult
from orchestrator.analysis.sweeps.stored_sweep import StoredSweep
from orchestrator.common.problems import StoreError, reason, without_password
from orchestrator.common.wording import plural
from orchestrator.search.objectives import Objective, objective_of
from orchestrator.search.rounds import SeedRounds
from orchestrator.search.trial_plan import TrialPlan
from orchestrator.spec.sections import Search
from orchestrator.tracking.about import IW_PREFIX, LOSSES, SEARCH_SPACES
from orchestrator.tracking.server.links import (
    FAILURE_TAG,
    KIND_TAG,
    NUMBER_TAG,
    PLAN_TAG,
    SWEEP_TAG,
    TRIAL_TAG,
    absolute_uri,
    equals,
)
from orchestrator.tracking.server.opening import check_store, patient
from orchestrator.tracking.tracker import EXPERIMENT
from trainables.common.hints import hint

HISTORY = (
    "nll", "kl", "nll_plus_kl", "nll_plus_kl_se", "mutual_information", "active_units", "kl_weight",
    "seconds", "tokens",
)  # fmt: skip
"""Metrics that a report needs of every epoch."""
_FINAL = ("best/", "test/", "probe/", "best_epoch", "still_to_gain")
_COMPLETE = {"test/nll", "test/kl", "test/nll_plus_kl", "test/active_units"}
_PAGE = 200
_READERS = 8

T = TypeVar("T")
Losses = Mapping[str, NDArray[np.float32] | NDArray[np.float64]]


@dataclass(frozen=True)
class Training:
    """One that came to its end, and the steps that it took."""

    plan: TrialPlan
    optimizer_steps: float
    inner_steps: float


class SweepReader:
    """Reads sweeps by name.

    Args:
        tracking_uri: `sqlite:///…/mlflow.db`, or the address of an MLflow server. A database that does not
            exist is not made.

    Raises:
        StoreError: there is no MLflow there, or it does not answer within seconds.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._place = without_password(tracking_uri)
        self._uri = uri = absolute_uri(tracking_uri)
        with check_store(uri):
            self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            self._experiment = self._client.get_experiment_by_name(EXPERIMENT)

    def names(self) -> list[str]:
        """The sweeps that are recorded there, the latest first."""
        found = [str(run.data.tags[SWEEP_TAG]) for run in self._search(equals(KIND_TAG, "sweep"))]
        return list(dict.fromkeys(reversed(found)))

    def read(self, name: str) -> StoredSweep:
        """One sweep, running, killed or finished.

        Raises:
            StoreError: no sweep or several have that name, or MLflow fails on the way.
        """
        try:
            with patient(self._uri):
                return self._read(name)
        except (MlflowException, OSError) as error:
            raise StoreError(f"sweep {name!r} cannot be read from {self._place}: {reason(error)}") from error

    def trainings(self, digest: str, length: str, sweeps: int) -> dict[str, list[Training]]:
        """The whole trainings of the latest so many sweeps over this corpus, of this length, by sweep; those
        that have none are left out.

        Raises:
            StoreError: MLflow fails on the way.
        """
        alike = {"digest": digest, "epochs": length}
        found: dict[str, list[Training]] = {}
        try:
            with patient(self._uri):
                for parent in reversed(list(self._search(equals(KIND_TAG, "sweep")))):
                    if len(found) < sweeps and alike.items() <= parent.data.params.items():
                        name = str(parent.data.tags[SWEEP_TAG])
                        if ended := list(self._ended(name)):
                            found[name] = ended
        except (MlflowException, OSError) as error:
            raise StoreError(f"sweeps cannot be read from {self._place}: {reason(error)}") from error
        return found

    def _ended(self, sweep: str) -> Iterator[Training]:
        for run in self._search(equals(SWEEP_TAG, sweep)):
            metrics = run.data.metrics
            plan = _plan(run) if metrics.keys() >= _COMPLETE else None
            if plan is not None and run.info.status == "FINISHED":
                yield Training(plan, metrics["optimizer_steps"], metrics["inner_steps"])

    def _read(self, name: str) -> StoredSweep:
        parent, children = self._runs(name)
        files = _Files(self._client, str(parent.info.run_id))
        losses = files.losses()
        planned = [(run, plan) for run in children if (plan := _plan(run)) is not None]
        histories = self._histories([run for run, _ in planned])
        results = tuple(
            _result(run, plan, history, losses)
            for (run, plan), history in zip(planned, histories, strict=True)
        )
        params, distributions = parent.data.params, files.distributions()
        notes = [*_notes(str(parent.info.status), results, len(children) - len(planned)), *files.problems]
        return StoredSweep(
            name=name,
            experiment_id=str(parent.info.experiment_id),
            run_id=str(parent.info.run_id),
            status=str(parent.info.status),
            title=f"{params.get('corpus_name') or params.get('corpus') or '?'}: {name}",
            corpus_digest=params.get("digest"),
            entropy_floor=float(params["entropy_floor"]) if "entropy_floor" in params else None,
            rounds=_rounds(params),
            objective=_objective(params),
            length=params.get("epochs"),
            results=results,
            distributions=distributions,
            notes=tuple(notes),
        )

    def _runs(self, name: str) -> tuple[Run, list[Run]]:
        """The sweep's own run and those of its trials in their order; those without a number come last, as
        they were started, which is not always as they were planned."""
        try:
            runs = list(self._search(equals(SWEEP_TAG, name)))
        except ValueError as error:
            raise StoreError(f"SWEEP {error}") from None
        parents = [run for run in runs if run.data.tags.get(KIND_TAG) == "sweep"]
        if not parents:
            raise StoreError(f"no sweep {name!r} in {self._place}; {hint(name, self.names())}")
        if len(parents) > 1:
            ids = ", ".join(run.info.run_id for run in parents)
            raise StoreError(
                f"a sweep's name must be the only one of its kind, got {name!r} {len(parents)} times in "
                f"{self._place}: delete all but one of the runs {ids}"
            )
        trials = [run for run in runs if run.data.tags.get(TRIAL_TAG)]
        return parents[0], sorted(trials, key=_number)

    def _search(self, condition: str) -> Iterator[Run]:
        """Runs with the condition, oldest first."""
        token: str | None = None
        while self._experiment is not None:
            order = ["attributes.start_time ASC", "attributes.run_id ASC"]
            page = self._client.search_runs(
                [self._experiment.experiment_id], condition, ViewType.ACTIVE_ONLY, _PAGE, order, token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _histories(self, runs: Sequence[Run]) -> list[list[dict[str, float]]]:
        """Each run's epochs, a few requests at a time: MLflow tells one metric of one run in each."""
        wanted = [(run, key) for run in runs for key in HISTORY if key in run.data.metrics]
        with ThreadPoolExecutor(_READERS) as pool:
            told = pool.map(lambda pair: self._points(str(pair[0].info.run_id), pair[1]), wanted)
            points = dict(zip(((run.info.run_id, key) for run, key in wanted), told, strict=True))
        return [_epochs({key: points.get((run.info.run_id, key), {}) for key in HISTORY}) for run in runs]

    def _points(self, run_id: str, key: str) -> dict[int, float]:
        """A metric's value by step: of what was logged twice the later."""
        told = self._client.get_metric_history(run_id, key)
        return {point.step: point.value for point in sorted(told, key=lambda point: point.timestamp)}


@dataclass
class _Files:
    """The artifacts of the sweep's own run, and what keeps them from being read."""

    client: MlflowClient
    run_id: str
    problems: list[str] = field(default_factory=list)

    def losses(self) -> Losses:
        """By name in the file; empty where there is none."""
        return self._read(LOSSES, _losses, "the gains have no standard errors")

    def distributions(self) -> Mapping[str, Mapping[str, BaseDistribution]]:
        """By variant and knob; empty where they are not stored."""
        return self._read(SEARCH_SPACES, _distributions, "no knob's importance is known")

    def _read(self, name: str, parse: Callable[[Path], Mapping[str, T]], without: str) -> Mapping[str, T]:
        """What is in the artifact; empty where it is not stored, not within reach, or not to be read."""
        try:
            with tempfile.TemporaryDirectory() as folder:
                if any(file.path == name for file in self.client.list_artifacts(self.run_id)):
                    return parse(Path(self.client.download_artifacts(self.run_id, name, folder)))
            self.problems.append(f"without {name} {without}")
        except Exception as error:  # whatever the artifacts' store raises: the metrics are there
            self.problems.append(f"{name} cannot be read, so {without}: {reason(error)}")
        return {}


def _losses(path: Path) -> dict[str, NDArray[np.float32] | NDArray[np.float64]]:
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _distributions(path: Path) -> dict[str, Mapping[str, BaseDistribution]]:
    stored = json.loads(path.read_text(encoding="utf-8"))
    return {
        variant: {knob: json_to_distribution(text) for knob, text in knobs.items()}
        for variant, knobs in stored.items()
    }


def _number(run: Run) -> float:
    """The trial's place in the sweep; infinity where it was not recorded."""
    number = str(run.data.tags.get(NUMBER_TAG, ""))
    return int(number) if number.isdecimal() else math.inf


def _rounds(params: Mapping[str, str]) -> SeedRounds | None:
    names = ("replicates", "max_replicates")
    return SeedRounds(*(int(params[name]) for name in names)) if set(names) <= params.keys() else None


def _objective(params: Mapping[str, str]) -> Objective | None:
    """None where it was not recorded, or is one of a later version."""
    try:
        numbers = {name: float(params[name]) for name in ("kl_floor", "margin")}
        return objective_of(Search.model_validate({"objective": params["objective"], **numbers}))
    except (KeyError, ValueError):
        return None


def _plan(run: Run) -> TrialPlan | None:
    """What the trial was told to do; None where that was not recorded, or is no variant of ours."""
    try:
        plan = TrialPlan.from_config(json.loads(run.data.tags[PLAN_TAG]))
        plan.build()
    except (KeyError, TypeError, ValueError):
        return None
    return plan


def _result(run: Run, plan: TrialPlan, history: list[dict[str, float]], losses: Losses) -> TrialResult:
    """The trial as the sweep itself saw it; `final` holds the latest values, those of an examination."""
    metrics, trial_id = run.data.metrics, str(run.data.tags[TRIAL_TAG])
    final = {name: value for name, value in metrics.items() if name.startswith(_FINAL)}
    final = final if final.keys() >= _COMPLETE else {}
    own, weighted = losses.get(trial_id), losses.get(f"{IW_PREFIX}{trial_id}")
    return TrialResult(
        trial_id=trial_id,
        plan=plan,
        final=final,
        cost={name: metrics.get(name, math.nan) for name in COSTS},
        losses_N=None if own is None or not final else own.astype(np.float32),
        failure=_failure(run, final),
        history=history,
        iw_losses_N=None if weighted is None else weighted.astype(np.float64),
    )


def _failure(run: Run, final: Mapping[str, float]) -> str | None:
    """Why it failed; a trial that failed before a resume and then finished did not."""
    if run.info.status == "FINISHED":
        return None
    lost = ERROR if run.info.status == "FAILED" and not final else None
    return run.data.tags.get(FAILURE_TAG) or lost


def _epochs(points: Mapping[str, Mapping[int, float]]) -> list[dict[str, float]]:
    """A record an epoch from the values of each metric by epoch; NaN where MLflow was not told."""
    steps = sorted(set().union(*points.values()))
    return [
        {"epoch": float(step)} | {key: values.get(step, math.nan) for key, values in points.items()}
        for step in steps
    ]


def _notes(status: str, results: Iterable[TrialResult], unknown: int) -> Iterator[str]:
    results = list(results)
    ended = sum(result.ended for result in results)
    if status != "FINISHED":
        yield f"the sweep is {status}: {ended} of {plural(len(results), 'trial')} have ended"
    if unknown:
        yield f"{plural(unknown, 'trial')} without a plan of a known variant left out"
