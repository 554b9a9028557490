"""Sweeps as jobs of a Ray cluster, which run on its head and outlive the connection that began them.

Ray's Jobs API knows jobs; here they have the name of a sweep, and those of one sweep have numbers.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.error import HTTPError
from urllib.request import urlopen

from aiohttp import ClientError
from ray.job_submission import JobDetails, JobSubmissionClient

from orchestrator.common.problems import reason
from orchestrator.spec.errors import SpecError

STOP_WAIT_S = 600
"""So long a stopped job may take to end its trials and to write its report; by itself Ray waits 3 s."""
ANSWER_S = 15.0
"""So long a dashboard may take to answer at first."""
_SWEEP = "sweep"
_TOO_LARGE = re.compile(r"Package size \((.+?)\) exceeds the maximum size of ([\d.]+ ?\w+)")


@dataclass(frozen=True)
class SweepJob:
    """A job that runs a sweep.

    Attributes:
        job_id: such as "yelp-2".
        status: PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED.
        running: whether it has not ended.
        exit_status: of the sweep command, once it has ended; None where Ray does not know it.
        message: what Ray says of it.
        began: seconds since 1970.
    """

    job_id: str
    sweep: str
    status: str
    running: bool
    exit_status: int | None
    message: str
    began: float

    @classmethod
    def of(cls, job: JobDetails) -> Self:
        """From what Ray says."""
        return cls(
            job.submission_id or "",
            (job.metadata or {}).get(_SWEEP, ""),
            str(job.status.value),
            not job.status.is_terminal(),
            job.driver_exit_code,
            job.message or "",
            (job.start_time or 0) / 1000,
        )

    @property
    def number(self) -> int:
        """Of the sweep's jobs."""
        return int(self.job_id.rpartition("-")[2])


class Jobs:
    """The sweeps' jobs of one cluster."""

    def __init__(self, address: str) -> None:
        """Looks whether somebody answers.

        Raises:
            SpecError: the address is none of a Ray dashboard's, or nobody answers there.
        """
        if not re.fullmatch(r"https?://[^/\s]+", address):
            raise SpecError(f"--address: must be http://HOST:PORT of Ray's dashboard, got {address!r}")
        for name in ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk"):
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            _wait_for_an_answer(address)
            self._client = JobSubmissionClient(address)
        except Exception as error:  # Ray raises plain ones, and those of two libraries
            raise SpecError(
                f"--address: must be that of a Ray dashboard that answers, got {address}: {reason(error)};"
                " `ray dashboard cluster.yaml` opens the way to it"
            ) from error

    def all(self) -> list[SweepJob]:
        """Those of all sweeps, in the order in which they began."""
        jobs = [SweepJob.of(job) for job in self._client.list_jobs() if _SWEEP in (job.metadata or {})]
        return sorted(jobs, key=lambda job: job.began or math.inf)

    def latest(self, sweep: str) -> SweepJob:
        """The last job of the sweep.

        Raises:
            SpecError: it has none.
        """
        jobs = self.all()
        mine = [job for job in jobs if job.sweep == sweep]
        if not mine:
            known = ", ".join(dict.fromkeys(job.sweep for job in jobs)) or "none"
            raise SpecError(f"no sweep {sweep!r} among the jobs of this cluster; known: {known}")
        return max(mine, key=lambda job: job.number)

    def submit(self, sweep: str, command: str, folder: Path, environment: dict[str, str]) -> SweepJob:
        """Runs the command on the head, in a copy of the folder without what its `.gitignore` names.

        Raises:
            SpecError: a job of this sweep runs, or the folder is larger than Ray takes.
        """
        mine = [job for job in self.all() if job.sweep == sweep]
        if running := [job.job_id for job in mine if job.running]:
            raise SpecError(
                f"a sweep must run once at a time, got one that runs: {sweep!r} in job {running[0]}"
            )
        try:
            job_id = self._client.submit_job(
                entrypoint=command,
                submission_id=f"{sweep}-{1 + max((job.number for job in mine), default=0)}",
                metadata={_SWEEP: sweep},
                runtime_env={
                    "working_dir": str(folder),
                    "env_vars": {**environment, "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S)},
                },
            )
        except RuntimeError as error:  # the server's traceback as text
            if (sizes := _TOO_LARGE.search(str(error))) is None:
                raise
            raise SpecError(
                f"what is sent to the head must be less than {sizes[2]} packed, got {sizes[1]}: {folder};"
                " name in its .gitignore what no trial needs, and keep a large corpus where each node sees it"
            ) from None
        return self._now(job_id)

    def follow(self, job: SweepJob, write: Callable[[str], object]) -> SweepJob:
        """Writes what the job prints, from its beginning until it ends; the job as it ended.

        Raises:
            ConnectionError: the cluster does not answer any more.
        """

        async def tail() -> None:
            async for text in self._client.tail_job_logs(job.job_id):
                write(text)

        try:
            asyncio.run(tail())
        except ClientError as error:
            raise ConnectionError(reason(error)) from error
        return self._ended(job)

    def stop(self, job: SweepJob) -> SweepJob:
        """Ends the job as Ctrl-C would, and waits for that; the job as it ended."""
        self._client.stop_job(job.job_id)
        return self._ended(job)

    def _ended(self, job: SweepJob, every: float = 0.5) -> SweepJob:
        while (now := self._now(job.job_id)).running:
            time.sleep(every)
        return now

    def _now(self, job_id: str) -> SweepJob:
        return SweepJob.of(self._client.get_job_info(job_id))


def _wait_for_an_answer(address: str) -> None:
    """Ray's client would wait for ever for one that accepts connections and says nothing.

    Raises:
        OSError: nobody answers, or not within `ANSWER_S`.
    """
    try:
        with urlopen(f"{address}/api/version", timeout=ANSWER_S):
            pass
    except HTTPError:  # an answer, too
        pass
