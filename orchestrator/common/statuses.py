"""Exit statuses, the same for all commands.

Apart, so that commands and the rooms below them agree, and `--help` says what is true.
"""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """How a command ended."""

    DONE = 0
    PARTLY = 1
    """Finished, with trials that failed, points that were not delivered, or figures that differ."""
    BAD_INPUT = 2
    """A mistake in what was asked for; nothing was begun."""
    STOPPED = 3
    """Stopped by itself, and can be resumed."""
    GONE = 4
    """The folder, Ray or the cluster is gone."""
    INTERRUPTED = 130
    """By Ctrl-C, SIGTERM or the end of the terminal; a sweep can be resumed."""
