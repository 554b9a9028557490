"""A PostgreSQL server of Debian's on loopback, made for a test and thrown away with it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.orchestrator.tracking_fixtures import free_port

PASSWORD = "not-a-secret"
_PATIENCE_S = 60


def binaries() -> Path | None:
    """The folder of the newest installed server's programs; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


@contextmanager
def postgres() -> Iterator[str]:
    """The SQLAlchemy address of an empty database, its password in it. PostgreSQL refuses to be run by root,
    who lends it the user that Debian's package makes."""
    programs = binaries()
    assert programs is not None
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="postgres-", dir="/tmp") as place:
        folder = Path(place)
        (folder / "password").write_text(PASSWORD)
        if as_user:
            owner = pwd.getpwnam("postgres")
            for path in (folder, folder / "password"):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        data, port = folder / "data", free_port()
        made = [*as_user, str(programs / "initdb"), "-D", str(data), "-U", "mlflow", "-E", "UTF8", "-N"]
        made += ["--auth=scram-sha-256", f"--pwfile={folder}/password"]
        subprocess.run(made, check=True, capture_output=True, cwd="/")
        command = [*as_user, str(programs / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder)]
        command += ["-c", "listen_addresses=127.0.0.1"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd="/", stderr=log, stdout=log, start_new_session=True)
        try:
            _wait_ready(process, programs, port)
            yield f"postgresql://mlflow:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            os.killpg(process.pid, signal.SIGINT)  # "fast shutdown"
            process.wait(timeout=_PATIENCE_S)


def _wait_ready(process: subprocess.Popen[bytes], programs: Path, port: int) -> None:
    end = time.monotonic() + _PATIENCE_S
    ask = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-q"]
    while subprocess.run(ask, check=False).returncode != 0:
        assert process.poll() is None, "PostgreSQL ended"
        assert time.monotonic() < end, "PostgreSQL did not start"
        time.sleep(0.1)
