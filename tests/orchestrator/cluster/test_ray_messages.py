"""What Ray says of a lost node, as it came over its wire."""

import io

import pytest
from ray._private import worker
from rich.console import Console

from orchestrator.cluster.ray_messages import in_a_line, say_in_a_line

DEAD = (
    "The node with node id: 55c4473623d41620e075753b and address: 192.0.2.2 and node name: worker-2 has been "
    "marked dead because the detector has missed too many heartbeats from it. This can happen when a \t"
    "(1) raylet crashes unexpectedly (OOM, etc.) \n\t(2) raylet has lagging heartbeats due to slow network."
)
ENDED = (
    "Raylet is terminated. Termination is unexpected. Possible reasons include: (1) SIGKILL by the user or "
    "system OOM killer\n    [state-dump] DebugString() time ms: 0\n"
)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (DEAD, "the node at 192.0.2.2 is lost; its trials go on elsewhere"),
        (ENDED, None),
        ("", None),
        ("Object store is full\nand more", "Ray says: Object store is full"),
    ],
    ids=["dead", "ended", "nothing", "else"],
)
def test_a_message_is_a_line(message: str, line: str | None) -> None:
    assert in_a_line(message) == line


def test_ray_prints_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "print_to_stdstream", worker.print_to_stdstream)  # put back behind this
    said = io.StringIO()
    say_in_a_line(Console(file=said, width=100))
    worker.print_to_stdstream({"lines": [DEAD, ENDED], "pid": "raylet", "is_err": False}, ignore_prefix=False)
    assert said.getvalue() == "note: the node at 192.0.2.2 is lost; its trials go on elsewhere\n"
