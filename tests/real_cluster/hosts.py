"""Machines of this machine: network namespaces on a bridge, each with sshd, processes and files of its own.
The home of a machine outlives its power, as a disk does.

There is no way out of them: the bridge's namespace has no other interface, and nothing forwards.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.paths import ROOT

NEEDED = ("ip", "setpriv", "unshare", "sshd", "ssh", "ssh-keygen", "rsync")
PREFIX = "10.77.0"
_INIT = """
set -e
mount --make-rprivate /
hostname "$NAME"
mkdir -p "$OWN/python" "$OWN/packages" "$OWN/shared" "$OWN/root"
mount --rbind "$PYTHON" "$OWN/python"
mount --rbind "$PACKAGES" "$OWN/packages"
mount --rbind "$SHARED" "$OWN/shared"
mount --bind "$OWN/root" /root
for place in /tmp /dev/shm; do mount -t tmpfs tmpfs "$place"; done
chmod 1777 /tmp /dev/shm
mkdir -p "$PYTHON" "$PACKAGES" "$SHARED" /run/sshd
mount --rbind "$OWN/python" "$PYTHON"
mount --rbind "$OWN/packages" "$PACKAGES"
mount --rbind "$OWN/shared" "$SHARED"
exec /usr/sbin/sshd -D -e -f /dev/null -p 22 -h "$KEYS/host" -o UsePAM=no -o StrictModes=no \
  -o "AuthorizedKeysFile=$KEYS/user.pub" -o "SetEnv=PATH=$PATH PYTHONPATH= MLFLOW_DISABLE_TELEMETRY=true"
"""
_PROBE = """
ip netns add "$NAME"
ip -n "$NAME" link add br0 type bridge
ip -n "$NAME" link add v0 type veth peer name v1
ip netns exec "$NAME" unshare --mount --pid --fork --mount-proc --uts --ipc --kill-child \\
  bash -ec 'mount --make-rprivate /; hostname probe; mount -t tmpfs tmpfs /tmp'
"""


def missing() -> str | None:
    """Why no such machines can be had here; None where they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    path = f"{os.environ['PATH']}:/usr/sbin"
    if absent := [name for name in NEEDED if shutil.which(name, path=path) is None]:
        return f"without {', '.join(absent)}"
    probe = f"tvs{os.getpid()}probe"
    made = subprocess.run(
        ["bash", "-ec", _PROBE],
        env={"PATH": path, "NAME": probe},
        capture_output=True,
        text=True,
        check=False,
    )
    subprocess.run(["ip", "netns", "del", probe], capture_output=True, check=False)
    return f"no machines of this machine here: {made.stderr.strip()}" if made.returncode else None


def check_out(folder: Path) -> None:
    """This project's files, as git knows them."""
    sent = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    there = ["rsync", "-a", "--from0", "--files-from=-", f"{ROOT}/", f"{folder}/"]
    subprocess.run(there, input=sent.stdout, check=True)


@dataclass
class Hosts:
    """A laptop and so many machines, which all see the folder `shared` and nothing else of each other's."""

    shared: Path
    count: int
    running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def keys(self) -> Path:
        return self.shared / "keys"

    @staticmethod
    def address(number: int) -> str:
        return f"{PREFIX}.{10 + number}"

    def laptop(self, *command: str) -> list[str]:
        """A command as it runs on the laptop."""
        return ["ip", "netns", "exec", self._name("lap"), *command]

    def power_on(self, number: int) -> None:
        """Waits until it can be reached."""
        name = self._name(f"h{number}")
        own = Path(f"/run/{name}")
        own.mkdir(exist_ok=True)
        environment = {
            "NAME": name, "OWN": str(own), "SHARED": str(self.shared), "KEYS": str(self.keys),
            "PYTHON": sys.base_prefix, "PACKAGES": sys.prefix,
            "PATH": f"{sys.prefix}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        }  # fmt: skip
        unshare = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--uts", "--ipc", "--kill-child")
        # A killed test undoes nothing; its machines must not outlive it.
        mortal = ("setpriv", "--pdeathsig", "KILL")
        self.running[number] = subprocess.Popen(
            [*mortal, "ip", "netns", "exec", name, *unshare, "bash", "-c", _INIT],
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=(self.shared / f"{name}.log").open("ab"),
        )
        for _ in range(100):
            if subprocess.run(self.ssh(number, "true"), capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.2)
        raise RuntimeError(f"{name} does not come up: {(self.shared / f'{name}.log').read_text()}")

    def power_off(self, number: int) -> None:
        """At once, with all of its processes."""
        process = self.running.pop(number)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def cut_off(self, number: int) -> None:
        """From the network, while it runs on."""
        _ip(self._name(f"h{number}"), "link", "set", "eth0", "down")

    def reconnect(self, number: int) -> None:
        name = self._name(f"h{number}")
        _ip(name, "link", "set", "eth0", "up")
        _ip(name, "route", "replace", "default", "via", f"{PREFIX}.1")

    def ssh(self, number: int, command: str) -> list[str]:
        """A command on a machine, from the laptop."""
        settings = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
        options = [word for setting in settings for word in ("-o", setting)]
        return self.laptop("ssh", "-i", str(self.keys / "user"), *options, self.address(number), command)

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        """All are on in this block."""
        _clear_away_what_killed_tests_left()
        self.keys.mkdir(parents=True)
        for key in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.keys / key)], check=True
            )
        with contextlib.ExitStack() as undo:
            lap = self._name("lap")
            self._namespace(lap, undo)
            _ip(lap, "link", "add", "br0", "type", "bridge")
            _ip(lap, "addr", "add", f"{PREFIX}.1/24", "dev", "br0")
            _ip(lap, "link", "set", "br0", "up")
            for number in range(self.count):
                self._connect(number, undo)
            for number in range(self.count):
                undo.callback(lambda number=number: number in self.running and self.power_off(number))
                self.power_on(number)
            yield

    def _connect(self, number: int, undo: contextlib.ExitStack) -> None:
        lap, name = self._name("lap"), self._name(f"h{number}")
        self._namespace(name, undo)
        _ip(lap, "link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip(lap, "link", "set", f"v{number}", "master", "br0", "up")
        _ip(name, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
        _ip(name, "link", "set", "eth0", "up")
        # Ray finds its own address by opening a connection that leads out, and sends nothing.
        _ip(name, "route", "add", "default", "via", f"{PREFIX}.1")
        undo.callback(shutil.rmtree, f"/run/{name}", ignore_errors=True)

    def _namespace(self, name: str, undo: contextlib.ExitStack) -> None:
        subprocess.run(["ip", "netns", "add", name], check=True)
        undo.callback(subprocess.run, ["ip", "netns", "del", name], check=False)
        _ip(name, "link", "set", "lo", "up")

    @staticmethod
    def _name(what: str) -> str:
        return f"tvs{os.getpid()}{what}"


def _clear_away_what_killed_tests_left() -> None:
    """Namespaces and homes whose maker is gone."""
    run = Path("/run")
    for left in (*run.glob("netns/tvs*"), *run.glob("tvs*")):
        maker = re.match(r"tvs(\d+)", left.name)
        if maker is None or Path(f"/proc/{maker[1]}").exists():
            continue
        if left.parent == run:
            shutil.rmtree(left, ignore_errors=True)
        else:
            subprocess.run(["ip", "netns", "del", left.name], check=False)


def _ip(namespace: str, *arguments: str) -> None:
    subprocess.run(["ip", "-n", namespace, *arguments], check=True)
