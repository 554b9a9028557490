"""Where Ctrl-C is heard, and where not."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

AGAIN_S = 0.05


@contextlib.contextmanager
def interrupts_heard() -> Iterator[None]:
    """In this block a Ctrl-C that falls into a finalizer comes once more.

    Python can raise nothing out of `__del__`: it prints a traceback there and forgets the interrupt. Ray has
    finalizers that wait for the cluster, long enough for a Ctrl-C to meet them.

    Raises:
        KeyboardInterrupt: at the block's end, for one that fell into a finalizer just before.
    """
    earlier = sys.unraisablehook
    repeats: list[threading.Timer] = []

    def hook(problem: UnraisableHookArgs) -> None:
        if issubclass(problem.exc_type, KeyboardInterrupt):
            # Later, by another thread: at once it would interrupt this hook.
            repeats.append(threading.Timer(AGAIN_S, os.kill, (os.getpid(), signal.SIGINT)))
            repeats[-1].start()
        else:
            earlier(problem)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        try:
            for repeat in repeats:
                repeat.join()
        finally:
            sys.unraisablehook = earlier


@contextlib.contextmanager
def interrupts_ignored() -> Iterator[None]:
    """In this block Ctrl-C does nothing, nor in the processes that are started in it."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
