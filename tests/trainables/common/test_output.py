"""Commands whose output cannot be shown, has no reader, or has no room."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.paths import ROOT

PROGRAM = """
import os, sys, time
from trainables.common.output import run
def command():
    print("\\u00fc \\u2022 \\u2713")
    sys.stdout.flush()
    for line in range(20_000):
        print("line", line)
    {then}
    sys.exit({status})
run(command)
"""


def program(
    then: str = "pass", status: int = 0, *, redirect: str = "", setting: Sequence[str] = ()
) -> subprocess.CompletedProcess[bytes]:
    not_under_nohup = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
    text = not_under_nohup + PROGRAM.format(then=then, status=status)
    return subprocess.run(
        ["bash", "-c", f'exec "$0" -c "$1" {redirect}', sys.executable, text],
        cwd=ROOT,
        env={**os.environ, **dict(pair.split("=") for pair in setting)},
        capture_output=True,
        check=False,
        timeout=60,
    )


ASCII = ["LC_ALL=C", "PYTHONUTF8=0", "PYTHONCOERCECLOCALE=0"]


@pytest.mark.parametrize("setting", [["PYTHONIOENCODING=latin-1"], ASCII])
def test_what_cannot_be_shown_is_replaced(setting: list[str]) -> None:
    done = program(setting=setting)
    assert (done.returncode, done.stderr) == (0, b"")
    first, *rest = done.stdout.splitlines()
    assert first == ("ü ? ?".encode("latin-1") if "latin" in setting[0] else b"? ? ?")
    assert len(rest) == 20_000


def test_a_reader_that_has_gone_ends_nothing() -> None:
    done = program('open("/dev/null", "w").write("done")', redirect="| head -1", setting=["BASH=x"])
    assert done.stdout.decode() == "ü • ✓\n"
    assert done.stderr.decode() == "warning: standard output is lost, Broken pipe; all else goes on\n"


@pytest.mark.parametrize(("status", "ends"), [(0, 1), (2, 2), (130, 130)])
def test_a_full_disk_is_said(status: int, ends: int) -> None:
    done = program(status=status, redirect="> /dev/full")
    assert done.returncode == ends
    assert done.stderr.decode() == (
        "warning: standard output is lost, No space left on device; all else goes on\n"
    )


def test_closed_files_are_nobodys(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    then = f'f = open({str(kept)!r}, "w"); print("not there"); f.write("there"); f.close()'
    done = program(then, redirect=">&- 2>&- <&-")
    assert done.returncode == 0
    assert kept.read_text() == "there"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_polite_end_is_that_of_control_c(number: signal.Signals) -> None:
    then = f"""
    try:
        os.kill(os.getpid(), {number}); time.sleep(9)
    except KeyboardInterrupt:
        sys.exit(130)"""
    assert program(then).returncode == 130


def test_what_nohup_ignores_stays_ignored() -> None:
    text = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + PROGRAM.format(
        then="os.kill(os.getpid(), 1)", status=0
    )
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
