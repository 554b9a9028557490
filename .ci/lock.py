"""Print requirements.lock: what pip resolves for pyproject.toml, every dependency and extra pinned.

pip decides without installing anything. Pins of the present lock are kept where they still fit, unless
``--upgrade`` is given. Left out are the CUDA packages, which torch itself names exactly and which differ by
platform, and local version labels such as ``+cpu``: the same lock serves every build of torch.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
OF_THE_PLATFORM = re.compile(r"(nvidia|cuda|triton|pytorch-triton)\b")
HEADER = """\
# Every package of the environment (runtime, cluster, dev), pinned. Made by `make lock`; do not edit.
# Resolved on Python {python}; packages that only another platform or a CUDA build of torch needs are not
# pinned here: pip adds the versions that the pinned packages ask for."""


def main() -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [
        r for extra in project["optional-dependencies"].values() for r in extra
    ]
    command = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed"]
    command += ["--disable-pip-version-check", "--report", "-"]
    if LOCK.exists() and "--upgrade" not in sys.argv[1:]:
        command += ["--constraint", str(LOCK)]
    done = subprocess.run([*command, *wanted], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        return done.returncode
    names = {}
    for entry in json.loads(done.stdout)["install"]:
        name = re.sub(r"[-_.]+", "-", entry["metadata"]["name"]).lower()
        if not OF_THE_PLATFORM.match(name):
            names[name] = entry["metadata"]["version"].split("+")[0]
    print(HEADER.format(python=f"{sys.version_info.major}.{sys.version_info.minor}"))
    for name in sorted(names):
        print(f"{name}=={names[name]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
