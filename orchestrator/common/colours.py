"""How figures look: a colour and a shape for each variant, greys for the baselines, inks, axis titles."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

Dashes = tuple[float, tuple[int, ...]]


@dataclass(frozen=True)
class Style:
    """Look of one variant. The shape repeats what the colour says, for readers who see no colours."""

    colour: str
    matplotlib_marker: str
    plotly_symbol: str


_CIRCLE, _SQUARE, _UP, _DOWN = ("o", "circle"), ("s", "square"), ("^", "triangle-up"), ("v", "triangle-down")
_LEFT, _RIGHT, _PLUS, _CROSS = ("<", "triangle-left"), (">", "triangle-right"), ("P", "cross"), ("X", "x")
_PENTAGON, _HEXAGON, _STAR = ("p", "pentagon"), ("h", "hexagon"), ("*", "star")

STYLES = {
    "vanilla": Style("#777777", *_CIRCLE),
    "annealed": Style("#0072B2", *_CIRCLE),
    "cyclical": Style("#D55E00", *_SQUARE),
    "aggressive": Style("#009E73", *_UP),
    "dilated": Style("#CC79A7", *_DOWN),
    "free_bits": Style("#E69F00", *_PLUS),
    "kl_target": Style("#1E1E6E", *_HEXAGON),
    "beta": Style("#8CB400", *_STAR),
    "conditional": Style("#2BC4DE", *_LEFT),
    "gumbel": Style("#A50026", *_PENTAGON),
    "vq": Style("#3D2B1F", *_RIGHT),
    "pretrained": Style("#6A3D9A", *_CROSS),
    "batch_norm": Style("#F4A3A3", *_UP),
    "skip": Style("#9B6BFF", *_SQUARE),
}
"""Fixed by name: a variant looks alike in every sweep. The colours are at least 0.13 apart in OKLab."""

_FURTHER_SHAPES = (("d", "diamond-tall"), ("H", "hexagon2"), ("8", "octagon"))
_COLOURS = tuple(look.colour for look in STYLES.values())
_DASHES: tuple[Dashes, ...] = ((0, (4, 2)), (0, (6, 2, 1, 2)), (0, (2, 1)), (0, (8, 3)))
BASELINE_COLOURS = ("#111111", "#777777", "#444466", "#A0A0A0")
FLOOR_COLOUR = "#B8860B"
INK, FAINT, GRID = "#222222", "#666666", "#EEEEEE"


def style(variant: str) -> Style:
    """The variant's own style, or one drawn from its name for a variant that has none."""
    if variant in STYLES:
        return STYLES[variant]
    code = zlib.crc32(variant.encode())
    return Style(
        _COLOURS[code % len(_COLOURS)], *_FURTHER_SHAPES[code // len(_COLOURS) % len(_FURTHER_SHAPES)]
    )


def baseline_colour(index: int) -> str:
    """A grey for the baseline of the index-th decoder."""
    return BASELINE_COLOURS[index % len(BASELINE_COLOURS)]


def baseline_dashes(index: int) -> Dashes:
    """Matplotlib's line style for the baseline of the index-th decoder."""
    return _DASHES[index % len(_DASHES)]
