"""How a process computes on a CPU: its threads, and memory that stays with it from one step to the next.

glibc gives large arrays and the end of its heap back to the system as soon as they are free, and the next
step gets them again page by page, each cleared first (docs/benchmarks/README.md).
"""

from __future__ import annotations

import ctypes
import sys

import torch

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Names of glibc's `mallopt`."""
NEVER, LARGEST = 2**31 - 1, 2**25
"""Bytes at the end of the heap that go back; and the size up to which an array may be told to lie in it."""


def prepare_cpu(threads: int | None = None) -> bool:
    """So many threads, or as many as torch takes; whether memory is kept, which only glibc is asked for."""
    if threads:
        torch.set_num_threads(threads)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and bool(mallopt(MMAP_THRESHOLD, LARGEST) and mallopt(TRIM_THRESHOLD, NEVER))
