from __future__ import annotations

import time

import pytest

from orchestrator.tracking.delivery.clock import Clock


def test_it_goes_with_the_time_of_day_at_first() -> None:
    assert Clock().now_ms() == pytest.approx(time.time() * 1000, abs=1000)
    assert Clock(5).now_ms() == pytest.approx(time.time() * 1000, abs=1000)


@pytest.mark.parametrize("jump_s", [-86400, 86400])
def test_it_goes_on_evenly_when_the_time_of_day_jumps(jump_s: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    first, jumped = clock.now_ms(), time.time_ns() + jump_s * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: jumped)
    assert 0 <= clock.now_ms() - first < 60_000


def test_it_begins_after_what_was_said_before() -> None:
    tomorrow = int(time.time() * 1000) + 86_400_000
    assert 0 < Clock(tomorrow).now_ms() - tomorrow < 60_000


def test_seconds_pass() -> None:
    clock = Clock()
    first = clock.now_ms()
    time.sleep(0.05)
    assert clock.now_ms() - first >= 49
