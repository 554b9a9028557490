"""Memory that a process keeps, seen by the pages that it has to get again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

STEPS = """
import resource, sys
import torch
from trainables.common.cpu import prepare_cpu

def step():
    arrays = [torch.ones(2**20) for _ in range(4)]  # of 4 MiB, 1,024 pages each

if sys.argv[1] == "kept":
    assert prepare_cpu(2) and torch.get_num_threads() == 2
    assert prepare_cpu() and torch.get_num_threads() == 2
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages(how: str) -> int:
    """That ten steps of 4,096 pages get from the system, where nothing large is told to stay."""
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}
    command = [sys.executable, "-c", STEPS, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is asked to keep memory")
def test_what_a_step_frees_the_next_one_has() -> None:
    assert pages("as it comes") >= 10 * 4096
    assert pages("kept") < 4096
