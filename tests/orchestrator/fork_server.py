"""Runs many commands quickly: what they import is imported once, each runs in a fork of its own.

Reads cases as JSON from standard input: words, folder, environment; writes of each its status, what it said,
how long it took, and whether it had come as far as Ray.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any

IMPORTED = ("orchestrator.running.preflight", "orchestrator.spec.overrides", "orchestrator.search.plan",
            "orchestrator.running.dry_run", "trainables.training.loop", "trainables.variants", "rich.console",
            "typer.rich_utils", "mlflow", "orchestrator.posterior_means.plan")  # fmt: skip


def child(case: dict[str, Any]) -> None:
    os.chdir(case["folder"])
    os.environ.update(case["environment"])
    said = os.open("../said", os.O_WRONLY | os.O_CREAT, 0o600)
    for number in (1, 2):
        os.dup2(said, number)
    module, *arguments = case["words"]
    sys.argv = [module, *arguments]
    status: object = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=False)
    except SystemExit as end:
        status = end.code or 0
    sys.stdout.flush()
    Path("../ended").write_text(json.dumps([status, "ray" in sys.modules]))


def run(case: dict[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    process = os.fork()
    if process == 0:
        try:
            child(case)
        except BaseException:
            import traceback

            traceback.print_exc()
        os._exit(0)
    os.waitpid(process, 0)
    above = Path(case["folder"]).parent
    ended = above / "ended"
    status, ray = json.loads(ended.read_text()) if ended.exists() else (None, None)
    said = (above / "said").read_text(errors="replace") if (above / "said").exists() else ""
    return {"status": status, "ray": ray, "said": said, "seconds": time.monotonic() - began}


if __name__ == "__main__":
    for name in IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
