"""When a training in progress is saved."""

from __future__ import annotations

import pytest

from trainables.saves import LEAST_S, MOST_S, Saves


@pytest.mark.parametrize(
    ("epoch", "seconds", "due"),
    [
        (4, LEAST_S, True),
        (3, LEAST_S, False),  # too few epochs
        (9, LEAST_S - 0.1, False),  # too soon, however many epochs
        (1, MOST_S, True),  # long enough, however few
        (1, MOST_S - 0.1, False),
    ],
)
def test_when_it_is_due(epoch: int, seconds: float, due: bool) -> None:
    for saved_epoch, saved_at in ((0, 0.0), (20, 1000.0)):
        saves = Saves(4, saved_epoch, saved_at)
        assert saves.due(saved_epoch + epoch, saved_at + seconds) is due
