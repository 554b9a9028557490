"""What a sweep ran with: Python, packages, machine, code, cluster. Names no user, no host and no path."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Self

PROJECT = "text-vae-sweep"
_PACKAGE = Path(__file__).resolve().parents[1]
_FILE = Path(__file__).resolve().relative_to(_PACKAGE)
_GIT_SECONDS = 5
_KINDS = ("CPU", "GPU", "memory", "object_store_memory")
_PACKAGES = (
    "ray", "torch", "optuna", "mlflow", "pandas", "numpy", "pydantic", "typer", "rich", "plotly",
    "matplotlib", "moocore", "scikit-learn", "scipy", "pyyaml", "pyarrow", "datasets",
)  # fmt: skip
_CPU_FILE = Path("/proc/cpuinfo")
_CPU_KEYS = ("model name", "Model", "Processor")
"""Lines of that file that name a processor: of x86, of small ARM boards, of older ARM kernels."""


@dataclass(frozen=True)
class Environment:
    """What a sweep ran with; a note of it, not a lock file.

    Attributes:
        platform: system, release and architecture.
        machine: architecture, such as "x86_64", which decides the last digits on a CPU as `cpu` does.
        cpu: the processor's model; empty where it is not known.
        cpus: how many there are for this process.
        packages: versions by name, of those that the project depends on and that are installed.
        commit: of the git checkout that the code stands in; None outside of one.
        dirty: whether the packages' files differ from the commit, new ones included; None outside of one.
        cuda: the names of this machine's CUDA devices.
        cluster: what Ray has, such as {"CPU": 16.0, "GPU": 2.0} and a kind of accelerator.
    """

    python: str
    platform: str
    machine: str
    cpu: str
    cpus: int
    packages: Mapping[str, str]
    commit: str | None
    dirty: bool | None
    cuda: tuple[str, ...]
    cluster: Mapping[str, float]

    @classmethod
    def here(cls, cluster: Mapping[str, float] | None = None) -> Self:
        """This process's. Looking for CUDA devices imports torch; without the NVIDIA driver it does not.

        Args:
            cluster: Ray's resources; those that name a node are left out.
        """
        commit, dirty = _checkout(_PACKAGE)
        return cls(
            python=platform.python_version(),
            platform=f"{platform.system()} {platform.release()} {platform.machine()}",
            machine=platform.machine(),
            cpu=_cpu(),
            cpus=_cpus(),
            packages=_packages(),
            commit=commit,
            dirty=dirty,
            cuda=_cuda(),
            cluster=_without_nodes(cluster or {}),
        )

    def to_json(self) -> str:
        """Reads back equal with `from_json`."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`.

        Raises:
            ValueError: the text is not of that form.
        """
        values = json.loads(text)
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or values.keys() != names:
            got = ", ".join(values) if isinstance(values, dict) else type(values).__name__
            raise ValueError(f"an environment must have {', '.join(sorted(names))}, got {got}")
        return cls(**values | {"cuda": tuple(values["cuda"])})

    def differences(self, other: Environment) -> list[str]:
        """What may change the last digits of a training: "torch 2.14.0 here, 2.13.0 there" for the other."""
        pairs = [
            ("Python", self.python, other.python),
            *((name, self.packages.get(name), other.packages.get(name)) for name in ("torch", "numpy")),
            ("machine", self.machine, other.machine),
            ("CPU", self.cpu, other.cpu),
            ("git commit", _short(self), _short(other)),
        ]
        return [
            f"{what} {mine or 'unknown'} here, {theirs or 'unknown'} there"
            for what, mine, theirs in pairs
            if mine != theirs
        ]


def _short(environment: Environment) -> str | None:
    """The commit in a few characters, with a mark where files differ from it."""
    if environment.commit is None:
        return None
    return environment.commit[:12] + (" with changes" if environment.dirty else "")


def _packages() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in (PROJECT, *_PACKAGES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    try:
        lines = [line.partition(":") for line in _CPU_FILE.read_text(errors="replace").splitlines()]
    except OSError:  # not Linux
        return platform.processor()
    known = {key.strip(): value.strip() for key, _, value in lines}
    return next((known[key] for key in _CPU_KEYS if known.get(key)), platform.processor())


def _cuda() -> tuple[str, ...]:
    if not Path("/proc/driver/nvidia").exists() and not Path("/dev/dxg").exists():
        return ()
    import torch

    return tuple(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))


def _checkout(folder: Path) -> tuple[str | None, bool | None]:
    """Commit and whether files differ, of the checkout that holds this package's source."""
    commit = _git(folder, "rev-parse", "HEAD")
    # An installed package may lie inside another project's checkout, whose commit says nothing of us.
    if commit is None or _git(folder, "ls-files", "--error-unmatch", str(_FILE)) is None:
        return None, None
    changed = _git(folder, "status", "--porcelain", "--", ".", "../search_spaces", "../trainables")
    return commit, None if changed is None else bool(changed)


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says; None where there is no git, no checkout, or an error."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True, text=True, check=True, timeout=_GIT_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _without_nodes(cluster: Mapping[str, float]) -> dict[str, float]:
    """Ray also counts a resource for each node, named by its address."""
    return {
        name: float(amount)
        for name, amount in sorted(cluster.items())
        if name in _KINDS or re.fullmatch(r"accelerator_type:[\w.-]+", name)
    }
