"""What holds for all tests."""

import os
import signal

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported: tests run in a process a core


def pytest_configure(config: pytest.Config) -> None:
    """A shell's background job ignores Ctrl-C, one under nohup the end of its terminal, and so would all
    commands that the tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
