"""Watches for the notice that this machine is about to be taken away, and leaves a file that trials look at.

    python spot_notice.py aws|gcp FILE

AWS gives two minutes, Google some 30 seconds. Trials that find the file are saved at the end of their epoch,
and not only at every fifth of their training. It needs nothing but Python.
"""

import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

SECONDS_BETWEEN_LOOKS = 5.0
METADATA = "http://169.254.169.254"


def aws(address: str) -> bool:
    """By IMDSv2: there is an action of EC2 Spot for this instance."""
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = _answer(f"{address}/latest/api/token", ttl, method="PUT")
    found = _answer(f"{address}/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token})
    return "action" in found


def gcp(address: str) -> bool:
    """Whether this Spot or preemptible machine has been preempted."""
    path = f"{address}/computeMetadata/v1/instance/preempted"
    return _answer(path, {"Metadata-Flavor": "Google"}) == "TRUE"


CLOUDS = {"aws": aws, "gcp": gcp}


def watch(cloud: str, file: Path, address: str = METADATA) -> None:
    """Returns when the notice has come and the file is there."""
    file.unlink(missing_ok=True)  # of a machine that was stopped and is back
    while not CLOUDS[cloud](address):
        time.sleep(SECONDS_BETWEEN_LOOKS)
    file.touch()


def _answer(url: str, headers: dict[str, str], method: str = "GET") -> str:
    """What the machine's metadata say; nothing where they do not answer, or know of no such thing."""
    try:
        request = urllib.request.Request(url, headers=headers, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=2) as answer:
            return str(answer.read().decode().strip())
    except (urllib.error.URLError, OSError):
        return ""


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in CLOUDS:
        sys.exit(f"usage: {Path(sys.argv[0]).name} {'|'.join(CLOUDS)} FILE, got {sys.argv[1:]}")
    watch(sys.argv[1], Path(sys.argv[2]))
