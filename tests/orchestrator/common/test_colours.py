from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.markers import MarkerStyle
from plotly.validator_cache import ValidatorCache

from orchestrator.common.colours import STYLES, baseline_colour, baseline_dashes, style
from trainables.variants import variant_names


def oklab(colour: str) -> np.ndarray:
    """Ottosson's OKLab, in which equal distances look equal."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    cones = np.array([[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]])
    lab = np.array([[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]])
    return np.asarray(lab @ np.cbrt(cones @ linear))


def test_oklab() -> None:
    assert oklab("#FFFFFF") == pytest.approx([1.0, 0.0, 0.0], abs=1e-3)
    assert oklab("#FF0000") == pytest.approx([0.628, 0.225, 0.126], abs=1e-3)


def test_every_variant_has_a_style_of_its_own() -> None:
    assert set(variant_names()) - {"language_model"} <= set(STYLES)
    assert len(set(STYLES.values())) == len(STYLES)
    assert style("annealed") is STYLES["annealed"]


def test_colours_are_told_apart() -> None:
    for first, second in itertools.combinations(STYLES.values(), 2):
        apart = float(np.linalg.norm(oklab(first.colour) - oklab(second.colour)))
        same = first.matplotlib_marker == second.matplotlib_marker
        assert same == (first.plotly_symbol == second.plotly_symbol)
        assert apart > 0.13, (first, second)


def test_shapes_exist_in_both_libraries() -> None:
    symbols = ValidatorCache.get_validator("scatter.marker", "symbol")
    for look in [*STYLES.values(), *(style(f"further_{number}") for number in range(40))]:
        assert MarkerStyle(look.matplotlib_marker).is_filled()
        assert symbols.validate_coerce(look.plotly_symbol) == look.plotly_symbol


def test_a_variant_without_a_style_gets_one_from_its_name() -> None:
    assert style("my_own_remedy") == style("my_own_remedy")
    assert style("my_own_remedy") != style("another_remedy")
    assert not {style(f"further_{number}") for number in range(100)} & set(STYLES.values())


def test_baselines_have_greys_and_dashes() -> None:
    assert len({(baseline_colour(index), baseline_dashes(index)) for index in range(4)}) == 4
    assert baseline_colour(4) == baseline_colour(0)
