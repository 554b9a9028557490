"""The cluster that `ray up` started from a file, as Ray's launcher reaches its head: by SSH."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.spec.errors import SpecError

DASHBOARD, MLFLOW = 8265, 5000
OPEN_S = 60.0
"""So long the way to the head may take to open."""
LINGERS_S = 15.0
"""Ray's SSH keeps a way open for 10 s after its last use."""
_LEFT_THERE = ("tune", ".reserve")
"""Of a sweep's folder: checkpoints and Ray Tune's own state, which are large and of no use elsewhere."""


class Launcher:
    """Raises SpecError where the file is not there."""

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise SpecError(f"--cluster: must be the file of `ray up`, got none: {file}")
        self._file = file

    @contextlib.contextmanager
    def way(self, ports: Sequence[int] = (DASHBOARD, MLFLOW)) -> Iterator[None]:
        """In this block the head's ports are this machine's.

        Raises:
            SpecError: one is taken here, or the head cannot be reached; with what Ray says.
        """
        begin = time.monotonic()
        while taken := [port for port in ports if not _is_free(port)]:
            if time.monotonic() - begin > LINGERS_S:
                raise SpecError(
                    f"--cluster: must find ports {', '.join(map(str, ports))} free here, got {taken[0]}"
                    " taken: a way that is open already? Then leave --cluster out"
                )
            time.sleep(0.5)
        forwards = [word for port in ports for word in ("-p", str(port))]
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                self._ray("exec", *forwards, command="sleep infinity"),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # a Ctrl-C here is not one there
            )
            try:
                begin = time.monotonic()
                while not all(_answers(port) for port in ports):
                    if process.poll() is not None or time.monotonic() - begin > OPEN_S:
                        said.seek(0)
                        raise SpecError(
                            f"--cluster: must be a cluster that runs, got none that opens ports"
                            f" {', '.join(map(str, ports))}: {_last_line(said.read())}"
                        )
                    time.sleep(0.2)
                yield
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                process.wait()

    def fetch(self, folder: str, to: Path) -> None:
        """Copies a sweep's folder here, without checkpoints.

        Raises:
            SpecError: it is not there, or `to` is.
        """
        if to.exists():
            raise SpecError(f"--to: must be a new folder, got one that is there: {to}")
        where, name = os.path.split(folder)
        packed = f"{where}/.{name}.tar.gz"
        left = " ".join(f"--exclude={shlex.quote(f'{name}/{part}')}" for part in _LEFT_THERE)
        where, name, packed_ = map(shlex.quote, (where, name, packed))
        self._run("exec", command=f"tar -C {where} {left} -czf {packed_} {name}")
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=to.parent) as here:
            archive = Path(here, "sweep.tar.gz")
            self._run("rsync-down", more=(packed, str(archive)))
            with tarfile.open(archive) as files:
                files.extractall(here, filter="data")
            Path(here, os.path.basename(folder)).rename(to)
        self._run("exec", command=f"rm -f {packed_}")

    def _run(self, what: str, *, command: str | None = None, more: Sequence[str] = ()) -> None:
        done = subprocess.run(
            self._ray(what, command=command, more=more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            raise SpecError(f"--cluster: `ray {what}` must do its work, got: {_last_line(done.stdout)}")

    def _ray(
        self, what: str, *options: str, command: str | None = None, more: Sequence[str] = ()
    ) -> list[str]:
        words = [os.path.join(os.path.dirname(sys.executable), "ray"), what, *options, str(self._file)]
        return [*words, *([command] if command else []), *more]


def _last_line(said: bytes) -> str:
    """Of what a command printed, without its colours; the first of tar's own, behind which Ray says more."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", said.decode(errors="replace"))
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return next((line for line in lines if line.startswith("tar: ")), lines[-1] if lines else "nothing")


def _is_free(port: int) -> bool:
    """Asked without a connection, which would keep a way open that is about to close."""
    with contextlib.suppress(OSError), socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False
