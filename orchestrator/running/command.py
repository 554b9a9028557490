"""What the sweep's command does: start, go on, add, deliver, show.

Imports what it needs when it needs it: what is wrong with a single field shows at once, and every other error
of the user before Ray is loaded.
"""

from __future__ import annotations

import shlex
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from orchestrator.common.statuses import Status

if TYPE_CHECKING:
    from orchestrator.spec.sweep_spec import SweepSpec


@dataclass(frozen=True)
class Action:
    """What is to be done: go on with a sweep, deliver what it left, only show the spec; else start one.

    `go_on` goes on where it can and else starts."""

    resume: str | None
    go_on: bool
    add_trials: tuple[int, str] | None
    replay_outbox: str | None
    dry_run: bool
    plan: bool

    def alone(self, flag: str) -> None:
        """Raises SpecError where another action is asked for beside that of the option."""
        from orchestrator.spec.errors import SpecError

        asked = {
            "--add-trials": self.add_trials is not None,
            "--replay-outbox": self.replay_outbox is not None,
            "--resume": self.resume is not None,
            "--go-on": self.go_on,
            "--dry-run": self.dry_run,
            "--plan": self.plan,
        }
        if other := next((each for each, given in asked.items() if given and each != flag), None):
            raise SpecError(f"{flag}: must be given without {other}, got both")


def carry_out(file: Path | None, options: dict[str, Any], action: Action) -> int:
    """Does it; the exit status. Mistakes of the user's are said on stderr."""
    from orchestrator.running.folder import begun, saved_spec
    from orchestrator.spec.errors import SpecError
    from orchestrator.spec.sweep_spec import SweepSpec

    try:
        if action.replay_outbox is not None:
            return _replay(file, options, action)
        if action.add_trials is not None:
            return _add(file, options, action, *action.add_trials)
        if action.resume is None:
            spec = SweepSpec.load(file, options)
        else:
            if action.go_on:
                raise SpecError("--go-on: must be given without --resume, got both")
            spec = saved_spec(action.resume, options, file)
        if action.dry_run or action.plan:
            return _show(spec, plan=action.plan)
        return _start(spec, resume=action.resume is not None or (action.go_on and begun(spec)))
    except SpecError as error:
        return _refuse(error)


def _add(file: Path | None, options: dict[str, Any], action: Action, trials: int, name: str) -> int:
    from orchestrator.running.folder import ADD, extended, saved_spec, sole_user

    action.alone("--add-trials")
    storage = {"storage": options.get("storage")}
    with sole_user(saved_spec(name, storage, None, ADD).folder):
        spec = extended(name, trials, options, file)
    return _start(spec, resume=True)


def _replay(file: Path | None, options: dict[str, Any], action: Action) -> int:
    from rich.console import Console

    from orchestrator.running.folder import REPLAY, saved_spec, sole_user

    assert action.replay_outbox is not None
    action.alone("--replay-outbox")
    spec = saved_spec(action.replay_outbox, options, file, REPLAY)
    with sole_user(spec.folder):
        from orchestrator.running.replay import replay

        return replay(spec, Console())


def _start(spec: SweepSpec, *, resume: bool) -> int:
    from orchestrator.running.folder import discard, keep_corpus, prepare_folder, sole_user
    from orchestrator.running.preflight import check
    from orchestrator.spec.errors import SpecError
    from trainables.text.corpora import CorpusError

    try:
        corpus = check(spec, resume=resume)
    except CorpusError as error:
        return _refuse(error)
    if not resume:
        spec = prepare_folder(spec)
    try:
        with sole_user(spec.folder):
            keep_corpus(spec.folder, corpus.digest)
            from orchestrator.cluster.ray_session import RayGoneError
            from orchestrator.running.sweep_run import SweepRun, SweepStoppedError

            try:
                return SweepRun(spec, corpus).run(resume=resume)
            except SpecError:
                if not resume:
                    discard(spec.folder)
                raise
            except SweepStoppedError:
                return _go_on(spec, "stopped", Status.STOPPED)
            except RayGoneError as error:
                typer.echo(f"error: Ray is gone: {error}", err=True)
                return _go_on(spec, "ended", Status.GONE)
    except KeyboardInterrupt:
        return _go_on(spec, "interrupted", Status.INTERRUPTED)


def _go_on(spec: SweepSpec, ended: str, status: Status) -> Status:
    """Says how to go on; the status."""
    from orchestrator.common.commands import sweep_command
    from orchestrator.spec.sweep_spec import SPEC_FILE

    again = shlex.join(sweep_command(spec.name, spec.storage, "--resume"))
    kept = (spec.folder / SPEC_FILE).is_file()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # one more only ends what is ending
    typer.echo(f"{ended}; go on with: {again}" if kept else ended, err=True)
    return status


def _show(spec: SweepSpec, *, plan: bool) -> int:
    from rich.console import Console

    from orchestrator.running.dry_run import show, show_plan
    from orchestrator.running.preflight import read_corpus
    from trainables.text.corpora import CorpusError

    try:
        (show_plan if plan else show)(spec, read_corpus(spec), Console())
    except CorpusError as error:
        return _refuse(error)
    return Status.DONE


def _refuse(error: ValueError) -> int:
    for line in str(error).splitlines():
        typer.echo(f"error: {line}", err=True)
    return Status.BAD_INPUT
