"""Output that ends nothing: a terminal that cannot show a sign, a reader that has gone, a disk that is full.

The commands are run through `run`, before help is shown or an option is read.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any, TextIO

OUTPUT_LOST = 1
"""The exit status of a command that would have ended with 0, had its output not been lost."""


class Forgiving:
    """A text stream that, once it cannot be written any more, swallows what it is given.

    It has no `buffer`: whoever looked for one would write past it.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name
        self.problem: OSError | None = None

    def write(self, text: str) -> int:
        """All of the text, or nothing once the stream is lost."""
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    @property
    def lost(self) -> bool:
        """Whether something was lost that somebody may have wanted: not to a reader that has gone."""
        return self.problem is not None and self.problem.errno != errno.EPIPE

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self._stream, name)

    def _attempt(self, action: Callable[[], object]) -> None:
        if self.problem is not None:
            return
        try:
            action()
        except OSError as problem:
            self.problem = problem
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())  # what is buffered still goes somewhere at the end
            os.close(nowhere)
            if self._name != "standard error":
                print(f"warning: {self._name} is lost, {problem.strerror}; all else goes on", file=sys.stderr)


def run(command: Callable[[], object]) -> None:
    """Runs a command that raises SystemExit; its output cannot end it, and a terminal that goes away or a
    polite kill ends it as Ctrl-C does.

    Raises:
        SystemExit: the command's own, or `OUTPUT_LOST` for a success whose output was lost.
    """
    _fill_standard_files()
    streams = []
    for name, place in (("standard output", "stdout"), ("standard error", "stderr")):
        stream = getattr(sys, place)
        stream.reconfigure(errors="backslashreplace" if place == "stderr" else "replace")
        streams.append(Forgiving(stream, name))
        setattr(sys, place, streams[-1])
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup has it ignored, and means it
            signal.signal(number, as_ctrl_c)
    try:
        command()
    except SystemExit as end:
        streams[0].flush()
        if streams[0].lost and not end.code:
            raise SystemExit(OUTPUT_LOST) from None
        raise
    finally:
        gc.freeze()  # else the interpreter ends with seconds of looking for garbage in what was imported


def as_ctrl_c(*_: object) -> None:
    """A signal handler."""
    signal.raise_signal(signal.SIGINT)


def _fill_standard_files() -> None:
    """A closed standard file is replaced by nothing: else the next file that is opened would take its number,
    and what is printed would go there."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for place, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        if getattr(sys, place) is None:
            setattr(sys, place, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
