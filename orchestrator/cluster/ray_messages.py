"""What Ray tells a driver of its nodes, in a line each.

It prints such messages by itself, whatever it was told of logs, and with a lost node some fifty lines of its
own state.
"""

from __future__ import annotations

import re
from typing import Any

from ray._private import worker
from rich.console import Console

_LOST = re.compile(r"The node with node id: (?P<id>\w+) and address: (?P<address>\S+) .*marked dead", re.S)
_OF_A_LOSS = "Raylet is terminated"
"""Comes with the loss, of which the other message tells, and once from each of the node's processes."""


def in_a_line(message: str) -> str | None:
    """For people; None where nothing is left to say."""
    if lost := _LOST.search(message):
        return f"the node at {lost['address']} is lost; its trials go on elsewhere"
    first = message.strip().partition("\n")[0]
    return None if not first or first.startswith(_OF_A_LOSS) else f"Ray says: {first}"


def say_in_a_line(console: Console) -> None:
    """From now on, on this console."""

    def say(data: dict[str, Any], *_: object, **__: object) -> None:
        for message in data["lines"]:
            if line := in_a_line(message):
                console.print(f"note: {line}", style="yellow", markup=False, highlight=False)

    worker.print_to_stdstream = say
