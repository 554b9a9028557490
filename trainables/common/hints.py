"""What to say of a misspelt name, of a knob, a variant, a sweep or a trial alike.

Everyone who takes a name gives the same hint.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def hint(name: str, known: Iterable[str]) -> str:
    """For a misspelt name: the nearest known one, or where none is near all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
