"""Runs a sweep: Ray, the Tuner, what is shown meanwhile, and the report at the end."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import warnings
from collections.abc import Iterator
from typing import Any

import ray
from pyarrow.fs import FileSelector, FileSystem
from ray import tune
from ray.tune.experiment import Trial
from rich.console import Console

import trainables
from orchestrator.delivery_view import say_what_is_left
from orchestrator.ending import FAILED, Ending, say_links
from orchestrator.examination import Examiner
from orchestrator.interrupts import interrupts_heard, interrupts_ignored
from orchestrator.plan import SearchPlan
from orchestrator.progress import ProgressCallback, SweepProgress
from orchestrator.search import ReconcileCallback, SweepSearcher
from orchestrator.spec import SPEC_FILE, SweepSpec
from orchestrator.spec_errors import SpecError
from orchestrator.storage_guard import StorageGuard
from orchestrator.sweep_files import corpus_input, sweep_params, write_about
from orchestrator.tracking import MlflowTracker
from orchestrator.tracking_callback import TrackingCallback
from orchestrator.wording import plural
from trainables.splits import Corpus
from trainables.trainable import TextVAETrainable, TrialSettings

TUNE_FOLDER = "tune"
FAREWELL_S = 5.0
CHECKPOINTS_A_TRIAL = 5
FAILURES_A_TRIAL = 3


def run_sweep(spec: SweepSpec, corpus: Corpus, *, resume: bool) -> int:
    """Runs or resumes the sweep and reports.

    Returns:
        The exit status: 0 when a trial finished, 1 when none did.

    Raises:
        KeyboardInterrupt: the user interrupted it; the sweep can be resumed.
        SpecError: MLflow has another sweep of this name.
    """
    console = Console()
    plan = SearchPlan.of(spec, corpus.longest)
    _announce(console, spec, corpus, plan)
    with interrupts_heard(), _ray(console, spec):
        tracker = MlflowTracker(spec.tracking_uri, spec.name, spec.folder)
        try:
            _open_mlflow(console, spec, corpus, plan, tracker)
            return _run(console, spec, corpus, plan, tracker, resume)
        except BaseException as problem:
            if not tracker.ended:  # it shall not look as if it still ran
                tracker.finish_sweep(status="KILLED" if isinstance(problem, KeyboardInterrupt) else "FAILED")
            if not tracker.closed and not tracker.refused:
                say_what_is_left(tracker.close(FAREWELL_S), spec, console)
            raise


def _open_mlflow(
    console: Console, spec: SweepSpec, corpus: Corpus, plan: SearchPlan, tracker: MlflowTracker
) -> None:
    """Begins the sweep's record, and says where it can be followed."""
    with console.status("opening MLflow"):
        problem = tracker.start_sweep(
            params=sweep_params(spec, corpus),
            files=[spec.folder / SPEC_FILE, *write_about(spec.folder, plan, _cluster())],
            text=corpus_input(corpus),
            spaces={variant.variant: variant.distributions for variant in plan.variants},
            trials=sum(plan.planned().values()),
        )
    if tracker.refused:
        raise SpecError(str(problem))
    if problem is not None:
        console.print(
            f"warning: MLflow does not answer, the sweep goes on: {problem}", style="yellow", markup=False
        )
    say_links(console, tracker)


def _run(
    console: Console, spec: SweepSpec, corpus: Corpus, plan: SearchPlan, tracker: MlflowTracker, resume: bool
) -> int:
    """All trials and the report; the exit status."""
    concurrency = _concurrency(spec)
    shown = ProgressCallback(SweepProgress(spec.name, plan.planned(), spec.epochs, concurrency), console)
    searcher = SweepSearcher(plan)
    guard = StorageGuard(spec.folder)
    with shown:
        trials = _fit(spec, corpus, searcher, guard, concurrency, [shown, TrackingCallback(tracker)], resume)
    if guard.problem is not None:
        console.print(f"stopped: {guard.problem}", style="red", markup=False, soft_wrap=True)
    if not spec.folder.is_dir():
        tracker.finish_sweep(status="KILLED")
        tracker.close(FAREWELL_S)
        return FAILED
    ending = Ending(Examiner(spec, corpus, concurrency), tracker, console)
    return ending.of(trials, complete=searcher.finished)


@contextlib.contextmanager
def _ray(console: Console, spec: SweepSpec) -> Iterator[None]:
    """Ray runs, or is there, in this block."""
    try:
        with console.status("starting Ray"):  # seen on a terminal only
            _start_ray(spec)
        yield
    finally:
        with interrupts_ignored():  # interrupted, Ray ends this process at once, with a status of its own
            ray.shutdown()


def _start_ray(spec: SweepSpec) -> None:
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")  # ProgressCallback says it in a line
    for name in ("ray", "ray.tune"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)  # a list of the trials that failed
    logging.getLogger("ray.tune.execution.experiment_state").addFilter(worth_saying)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if os.environ.get("RAY_ADDRESS"):
        options |= {"runtime_env": {"py_modules": [trainables]}}  # the nodes need the trials' code
    else:
        options |= {"address": "local", "include_dashboard": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        ray.init(**options)
    # What a batch scheduler sends ends the sweep as Ctrl-C does; Ray has set a handler of its own.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


def worth_saying(record: logging.LogRecord) -> bool:
    """Whether a failed snapshot is more than a file that Tune renamed while it copied its own folder; the
    next snapshot has what that one lacks."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, FileNotFoundError) and "-tmp-searcher-state" in str(error))


def _concurrency(spec: SweepSpec) -> int:
    """How many trials fit on the cluster as it is now, or as many as the spec says."""
    if spec.max_concurrent is not None:
        return spec.max_concurrent
    have = _cluster()
    fits = [have.get("CPU", 0.0) / spec.resources.cpus]
    if spec.resources.gpus:
        fits.append(have.get("GPU", 0.0) / spec.resources.gpus)
    return max(1, int(min(fits)))


def _cluster() -> dict[str, float]:
    """What Ray has: CPU, GPU, and so on."""
    have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return have


def _fit(
    spec: SweepSpec,
    corpus: Corpus,
    searcher: SweepSearcher,
    guard: StorageGuard,
    concurrency: int,
    callbacks: list[tune.Callback],
    resume: bool,
) -> list[Trial]:
    """Runs all trials, or goes on with them.

    By `tune.run` and not by a Tuner, which on a restore brings back searcher, callbacks and limits as it
    pickled them at the start: the present ones take over the earlier state here.
    """
    settings = TrialSettings(
        epochs=spec.epochs,
        device="cuda" if spec.resources.gpus else "cpu",
        gpus=spec.resources.gpus,
        threads=max(1, int(spec.resources.cpus)),
        iw_samples=spec.iw_samples,
        iw_sentences=spec.iw_sentences,
    )
    resources = {"cpu": spec.resources.cpus, "gpu": spec.resources.gpus}
    resumed = resume and _has_state(f"{spec.checkpoint_folder}/{TUNE_FOLDER}")
    again = tune.ResumeConfig.ResumeType.RESUME
    interrupt = signal.getsignal(signal.SIGINT)
    analysis = tune.run(
        tune.with_resources(
            tune.with_parameters(TextVAETrainable, settings=settings, corpus=corpus), resources
        ),
        name=TUNE_FOLDER,
        storage_path=spec.checkpoint_folder,
        num_samples=-1,  # until the searcher has finished
        search_alg=searcher,
        stop=guard,
        max_concurrent_trials=concurrency,
        reuse_actors=True,
        callbacks=[ReconcileCallback(searcher), *callbacks],
        max_failures=FAILURES_A_TRIAL,
        raise_on_failed_trial=False,
        verbose=0,
        checkpoint_config=tune.CheckpointConfig(
            num_to_keep=1,
            checkpoint_frequency=max(1, spec.epochs // CHECKPOINTS_A_TRIAL),
            checkpoint_at_end=True,
        ),
        resume_config=tune.ResumeConfig(errored=again) if resumed else None,  # type: ignore[arg-type]
        resources_per_trial=resources if resumed else None,  # of trials begun before the resume
    )
    signal.signal(signal.SIGINT, interrupt)  # Tune leaves a handler that would swallow the next Ctrl-C
    # A restore puts Tune's trials in another order; their tags begin with the number of each.
    return sorted(analysis.trials or (), key=lambda trial: int(trial.experiment_tag.partition("_")[0]))


def _has_state(folder: str) -> bool:
    """Whether Tune has saved anything there to go on with."""
    filesystem, path = FileSystem.from_uri(folder)
    files = filesystem.get_file_info(FileSelector(path, allow_not_found=True))
    return any(file.base_name.startswith("experiment_state") for file in files)


def _announce(console: Console, spec: SweepSpec, corpus: Corpus, plan: SearchPlan) -> None:
    planned = plan.planned()
    console.print(
        f"sweep {spec.name}: {plural(sum(planned.values()), 'trial')} of {plural(spec.epochs, 'epoch')} "
        f"({', '.join(f'{variant} {count}' for variant, count in planned.items())})",
        highlight=False,
    )
    floor = corpus.entropy_floor
    known = f", entropy floor {floor:.2f} nats per sentence" if floor is not None else ""
    console.print(
        f"corpus {corpus.name}: {len(corpus.train):,} / {len(corpus.valid):,} / {len(corpus.test):,} "
        f"sentences, {len(corpus.vocabulary):,} words{known}",
        highlight=False,
    )
    for caution in plan.cautions():
        console.print(f"note: {caution}", style="yellow")
