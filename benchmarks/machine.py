"""What a table says of the machine that it was measured on. A benchmark's figures mean little without its
processor, and bfloat16 means little without the instructions for it; and the memory of a process."""

from __future__ import annotations

import platform
import resource
from pathlib import Path


def processor() -> str:
    """Its name, and whether it has AMX; where /proc is missing, its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return f"{names[0]} ({'AMX' if 'amx_bf16' in text else 'no AMX'})" if names else platform.machine()


def resident_mib() -> float:
    """Memory of this process, MiB; on Linux."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * resource.getpagesize() / 2**20
