from __future__ import annotations

import re

import pytest

from orchestrator.common.colours import STYLES
from orchestrator.tracking.shown.trial import run_colour, run_tags
from trainables.variants import BASELINE


def test_the_frontier_has_the_variants_own_colours() -> None:
    assert run_colour("cyclical", on_frontier=True) == STYLES["cyclical"].colour == "#D55E00"
    assert run_colour(BASELINE, on_frontier=True) == "#111111"


def test_elsewhere_three_tenths_of_it_on_white() -> None:
    # 255 − 0.3 (255 − 0xD5) = 242.4, 255 − 0.3 (255 − 0x5E) = 206.7, 255 − 0.3 · 255 = 178.5 → even
    assert run_colour("cyclical", on_frontier=False) == "#F2CFB2"
    assert run_colour(BASELINE, on_frontier=False) == "#B8B8B8"


@pytest.mark.parametrize("variant", [*STYLES, BASELINE, "a variant of one's own"])
def test_the_interface_understands_them(variant: str) -> None:
    colours = [run_colour(variant, on_frontier=on_frontier) for on_frontier in (True, False)]
    assert all(re.fullmatch("#[0-9A-F]{6}", colour) for colour in colours)
    assert len(set(colours)) == 2


@pytest.mark.parametrize(("collapsed", "on_frontier"), [(True, False), (False, True)])
def test_what_the_tags_of_a_run_say(collapsed: bool, on_frontier: bool) -> None:
    assert run_tags("cyclical", collapsed=collapsed, on_frontier=on_frontier) == {
        "collapsed": "true" if collapsed else "false",
        "frontier": "true" if on_frontier else "false",
        "mlflow.runColor": "#D55E00" if on_frontier else "#F2CFB2",
    }
