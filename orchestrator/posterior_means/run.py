"""Trains several variants at once, a process each, and collects their posterior mean spaces."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from orchestrator.common.interrupts import interrupts_ignored
from orchestrator.posterior_means.plan import Plan
from orchestrator.posterior_means.view import View, figures
from trainables.common.cpu import prepare_cpu
from trainables.model.variant import Variant
from trainables.training.loop import DivergedError, Training
from trainables.training.posterior_means import MeanSpace, MeanSpaceRecorder


@dataclass(frozen=True)
class Report:
    """A training after so many updates out of so many, and its mean space where one was due."""

    update: int
    updates: int
    space: MeanSpace | None


class FailedError(RuntimeError):
    """A training came to no end."""


def follow(plan: Plan, console: Console) -> View:
    """Trains all variants and shows how far they are.

    Raises:
        FailedError: a training diverged or its process was lost; the others are ended.
    """
    spaces: dict[str, list[MeanSpace]] = {variant.name: [] for variant in plan.variants}
    with _progress(console) as progress, _processes(plan) as open_ends:
        tasks = {name: progress.add_task(name, total=None, figures="") for name in spaces}
        while open_ends:
            for end in wait(list(open_ends)):
                assert isinstance(end, Connection)
                name = open_ends[end][0]
                report = _receive(end, open_ends)
                if report is None:
                    continue
                progress.update(tasks[name], completed=report.update, total=report.updates)
                if report.space is not None:
                    spaces[name].append(report.space)
                    _say(progress, tasks[name], name, report, report.space, console)
    assert plan.followed.labels is not None
    return View(spaces, plan.followed.labels, plan.corpus.label_names)


def _progress(console: Console) -> Progress:
    narrow = Column(no_wrap=True, overflow="ellipsis")  # gives way where the terminal is narrow
    columns = [
        TextColumn("{task.description}"), BarColumn(12), MofNCompleteColumn(), TextColumn("updates"),
        TimeRemainingColumn(), TextColumn("[dim]{task.fields[figures]}", table_column=narrow),
    ]  # fmt: skip
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _say(
    progress: Progress, task: TaskID, name: str, report: Report, space: MeanSpace, console: Console
) -> None:
    """On a terminal beside the bar, elsewhere a line."""
    progress.update(task, figures=figures(space))
    if console.is_terminal:
        return
    seconds = progress.tasks[task].time_remaining
    left = "" if seconds is None else f", about {seconds:.0f} s left"
    line = f"{name}, {report.update:,} of {report.updates:,} updates: {figures(space)}{left}"
    console.print(line, highlight=False, soft_wrap=True, markup=False)


_OpenEnds = dict[Connection, tuple[str, BaseProcess]]


@contextlib.contextmanager
def _processes(plan: Plan) -> Iterator[_OpenEnds]:
    """A process a variant, by the end of the pipe that it reports to; none outlives the block."""
    context = get_context("spawn")
    open_ends: _OpenEnds = {}
    with interrupts_ignored():  # by the processes, for good: it is this one that ends them
        for variant in plan.variants:
            here, there = context.Pipe(duplex=False)
            process = context.Process(target=_train, args=(there, variant, plan), daemon=True)
            process.start()
            there.close()
            open_ends[here] = variant.name, process
    everyone: list[BaseProcess] = [process for _, process in open_ends.values()]
    try:
        yield open_ends
    finally:
        for one in everyone:
            one.terminate()
        for one in everyone:
            one.join()


def _receive(end: Connection, open_ends: _OpenEnds) -> Report | None:
    """The next report; None when the training has ended, which then is no longer among the open ends."""
    name, process = open_ends[end]
    try:
        message: Report | str = end.recv()
    except EOFError:
        process.join()
        if process.exitcode != 0:
            raise FailedError(f"{name}: its process ended with status {process.exitcode}") from None
        del open_ends[end]
        return None
    if isinstance(message, str):
        raise FailedError(f"{name}: {message}")
    return message


def _train(connection: Connection, variant: Variant, plan: Plan) -> None:
    """In the process of a variant."""
    prepare_cpu(1)
    training = Training(variant, plan.corpus, epochs=plan.epochs, seed=plan.seed)
    recorder = MeanSpaceRecorder(training, plan.followed, every=plan.every)

    def report() -> None:
        connection.send(Report(training.cost.optimizer_steps, recorder.last, recorder.look()))

    try:
        report()
        training.after_update = report
        while not training.finished:
            training.run_epoch()
    except DivergedError as error:
        connection.send(str(error))
    except BrokenPipeError:
        pass  # whoever asked is gone
