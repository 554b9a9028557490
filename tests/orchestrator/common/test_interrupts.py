import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from orchestrator.common.interrupts import interrupts_heard, interrupts_ignored


class Finalizer:
    """Does something in its finalizer."""

    def __init__(self, last: Callable[[], object]) -> None:
        self.last = last

    def __del__(self) -> None:
        self.last()


def control_c() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def the_usual_handler() -> Iterator[None]:
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[BaseException | None]:
    """What Python could not raise."""
    said: list[BaseException | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda problem: said.append(problem.exc_value))
    return said


def test_python_forgets_a_control_c_in_a_finalizer(unraisable: list[BaseException | None]) -> None:
    Finalizer(control_c)
    assert [type(problem) for problem in unraisable] == [KeyboardInterrupt]  # said, and the program goes on


def wait_for(*lasts: Callable[[], object]) -> None:
    for last in lasts:
        Finalizer(last)
    threading.Event().wait(60)


def test_it_comes_again(unraisable: list[BaseException | None]) -> None:
    start = time.monotonic()
    with interrupts_heard(), pytest.raises(KeyboardInterrupt):
        wait_for(control_c)
    assert time.monotonic() - start < 30
    assert not unraisable


def test_it_comes_again_until_it_is_heard(unraisable: list[BaseException | None]) -> None:
    start = time.monotonic()
    with interrupts_heard(), pytest.raises(KeyboardInterrupt):
        wait_for(control_c, lambda: time.sleep(60))  # the second one falls into the second finalizer
    assert time.monotonic() - start < 30
    assert not unraisable


def test_it_comes_at_the_latest_when_the_block_ends(unraisable: list[BaseException | None]) -> None:
    with pytest.raises(KeyboardInterrupt), interrupts_heard():
        Finalizer(control_c)
    assert not unraisable


def test_other_problems_of_finalizers_are_said_as_before(unraisable: list[BaseException | None]) -> None:
    before = sys.unraisablehook
    with interrupts_heard():
        Finalizer(lambda: 1 / 0)
    assert [type(problem) for problem in unraisable] == [ZeroDivisionError]
    assert sys.unraisablehook is before


def test_an_ignored_one_is_forgotten_and_the_next_one_is_not() -> None:
    with interrupts_ignored():
        control_c()
    with pytest.raises(KeyboardInterrupt):
        control_c()
