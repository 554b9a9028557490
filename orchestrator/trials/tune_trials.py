"""The trials of a sweep under Ray Tune: what each may use, when it is saved, how they go on after a stop."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from pyarrow.fs import FileSelector, FileSystem
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.search import SearchGenerator

from orchestrator.cluster.slots import Slots
from orchestrator.search.sweep_searcher import SweepSearcher
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials.kept_actors import KeptActors
from orchestrator.trials.outcomes import Outcomes
from orchestrator.trials.shared_gpus import request
from orchestrator.trials.trial_recovery import FAILURES_A_TRIAL, Checkpoints, ReconcileCallback, Retries
from trainables.text.splits import Corpus
from trainables.trainable import TextVAETrainable, TrialSettings

TUNE_FOLDER = "tune"
CHECKPOINTS_A_TRIAL = 5
MANY = 10_000
LEAST_PERIOD_S, PERIOD_A_TRIAL_S = 2.0, 0.002
"""Seconds between two snapshots, at least, and for each planned trial; one takes 0.2 ms a trial."""


def run_trials(
    spec: SweepSpec,
    corpus: Corpus,
    searcher: SweepSearcher,
    outcomes: Outcomes,
    stop: tune.Stopper,
    callbacks: Sequence[tune.Callback],
    *,
    slots: Slots,
    resume: bool,
    trainable: type[tune.Trainable] = TextVAETrainable,
) -> list[Trial]:
    """Runs all trials, or goes on with them; in the order in which they were begun.

    By `tune.run` and not by a Tuner, which on a restore brings back searcher, callbacks and limits as it
    pickled them at the start: the present ones take over the earlier state here.
    """
    # Of a searcher's trials Tune would let a single one wait for room: a cluster would not grow, actors would
    # be started one after the other, and short trials would all run in the first. The searcher limits them.
    os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(MANY))
    resumed = resume and _has_state(f"{spec.checkpoint_folder}/{TUNE_FOLDER}")
    again = tune.ResumeConfig.ResumeType.RESUME
    kept = partial(tune.CheckpointConfig, checkpoint_at_end=True)  # before that the trial says when
    checkpoints = Checkpoints(kept(num_to_keep=1))
    # The state of all trials is written this often, so that 1,000 trials do not keep the driver busy with it.
    period = max(LEAST_PERIOD_S, sum(searcher.plan.planned().values()) * PERIOD_A_TRIAL_S)
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = str(period)
    elsewhere = bool(os.environ.get("RAY_ADDRESS")) or spec.resources.share > 0
    interrupt = signal.getsignal(signal.SIGINT)
    searcher.set_max_concurrency(slots.asked)
    np.set_printoptions(threshold=8)  # Tune formats each result for a log that nobody sees
    gc.freeze()  # Ray has garbage looked for now and then, and need not look through all that was imported
    analysis = tune.run(
        tune.with_resources(
            tune.with_parameters(trainable, settings=_settings(spec), corpus=corpus), request(spec.resources)
        ),
        name=TUNE_FOLDER,
        storage_path=spec.checkpoint_folder,
        num_samples=-1,  # until the searcher has finished
        search_alg=_AskedAgain(searcher),
        stop=stop,
        scheduler=KeptActors(searcher, spec.resources, slots.say, 0 if elsewhere else slots.asked),
        reuse_actors=True,
        callbacks=[ReconcileCallback(searcher), outcomes, checkpoints, Retries(), *callbacks],
        max_failures=FAILURES_A_TRIAL,
        raise_on_failed_trial=False,
        verbose=0,
        checkpoint_config=kept(),
        resume_config=tune.ResumeConfig(errored=again) if resumed else None,  # type: ignore[arg-type]
    )
    signal.signal(signal.SIGINT, interrupt)  # Tune leaves a handler that would swallow the next Ctrl-C
    # A restore puts Tune's trials in another order; their tags begin with the number of each.
    return sorted(analysis.trials or (), key=lambda trial: int(trial.experiment_tag.partition("_")[0]))


class _AskedAgain(SearchGenerator):
    """After a restore a searcher that had finished is asked again: it may have been given more to do."""

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state({**state, "finished": False})


def _settings(spec: SweepSpec) -> TrialSettings:
    return TrialSettings(
        epochs=spec.epochs.planned,
        max_epochs=spec.epochs.limit,
        device="cuda" if spec.resources.share else "cpu",
        gpus=spec.resources.share,
        threads=max(1, int(spec.resources.cpus)),
        iw_samples=spec.iw_samples,
        iw_sentences=spec.iw_sentences,
        collapse_patience=spec.search.collapse_patience,
        epochs_a_save=max(1, spec.epochs.planned // CHECKPOINTS_A_TRIAL),
    )


def _has_state(folder: str) -> bool:
    """Whether Tune has saved anything there to go on with."""
    filesystem, path = FileSystem.from_uri(folder)
    files = filesystem.get_file_info(FileSelector(path, allow_not_found=True))
    return any(file.base_name.startswith("experiment_state") and file.extension == "json" for file in files)
