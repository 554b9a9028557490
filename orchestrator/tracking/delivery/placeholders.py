"""Ids in a text that is written before MLflow has given any: filled in when it is delivered.

So the outbox holds for whichever MLflow it is delivered to. A placeholder is as long as the id that takes its
place, or longer: a text that fits before fits afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_RUN_ID, _EXPERIMENT_ID = 32, 20
_OPEN, _CLOSE, _WHOLE = "\ue000", "\ue001", "\ue002"  # for private use: no text has them
EXPERIMENT = _WHOLE * _EXPERIMENT_ID
"""Stands for the experiment's id."""

_RUN = re.compile(f"{_OPEN}([^{_CLOSE}]*){_CLOSE}+")


def of_run(run: str) -> str:
    """Stands for the id of a trial's run, or of the sweep's."""
    return f"{_OPEN}{run}{_CLOSE}".ljust(_RUN_ID, _CLOSE)


def filled(text: str, experiment_id: str, run_id: Callable[[str], str]) -> str:
    """The text with ids for placeholders.

    Args:
        run_id: a trial, or the sweep → the id of its run.
    """
    return _RUN.sub(lambda found: run_id(found[1]), text.replace(EXPERIMENT, experiment_id))
