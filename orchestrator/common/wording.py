"""Figures as text: one way to write a number, a difference with its uncertainty, a label with its knobs."""

from __future__ import annotations

import math

ABSENT = "–"


def number(value: float, decimals: int = 2) -> str:
    """Fixed decimals with a true minus sign, powers of ten from a million on, a dash for no figure."""
    if not math.isfinite(value):
        return ABSENT
    if abs(value) >= 1e6:
        return f"{value:.{decimals}e}".replace("-", "−")
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def signed(value: float, decimals: int = 2) -> str:
    """Like ``number``, with a plus sign above zero."""
    text = number(value, decimals)
    return f"+{text}" if math.isfinite(value) and float(f"{value:.{decimals}f}") > 0 else text


def uncertainty(error: float) -> str:
    """A standard error with two decimals, or three where two would show nothing."""
    return number(error, 3 if error < 0.01 else 2)


def difference(value: float, error: float) -> str:
    """``−1.93 ± 0.08``."""
    decimals = 3 if error < 0.01 else 2
    return f"{signed(value, decimals)} ± {uncertainty(error)}" if math.isfinite(value) else ABSENT


def probability(p: float) -> str:
    """``0.024``, ``< 0.001``."""
    if not math.isfinite(p):
        return ABSENT
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def plural(count: int, noun: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def thousands(count: float) -> str:
    """``940``, ``12.3k``, ``1.23M``: a count with three digits."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.0f}"


def duration(seconds: float) -> str:
    """Seconds as people say it: "45 s", "3 min 20 s", "2 h 5 min"."""
    whole = max(1, round(seconds))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
