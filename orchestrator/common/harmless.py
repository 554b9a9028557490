"""What only reports on a sweep must not end it.

Tune's callbacks stand in more than one room; the rule is one.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec

logger = logging.getLogger(__name__)

P = ParamSpec("P")


def harmless(hook: Callable[P, None]) -> Callable[P, None]:
    """An exception in a callback of Tune's would end the whole sweep: it is logged instead."""

    @functools.wraps(hook)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            hook(*args, **kwargs)
        except (Exception, SystemExit) as problem:
            # Rich leaves the program when stdout is closed; anyone else who does so means it.
            if isinstance(problem, SystemExit) and not isinstance(problem.__context__, BrokenPipeError):
                raise
            logger.exception("%s failed; the sweep goes on", hook.__qualname__)

    return guarded
