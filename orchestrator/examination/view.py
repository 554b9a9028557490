"""What is shown while runs are examined: a bar on a terminal, a plain line for each run elsewhere."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from orchestrator.common.wording import duration
from orchestrator.examination.examined import Examined
from orchestrator.search.trial_plan import TrialPlan, describe

ESTIMATING = "estimating the time left"


class ExaminationView(AbstractContextManager["ExaminationView"]):
    """Shown from the `with` block's begin to its end."""

    def __init__(self, console: Console, total: int) -> None:
        self.console, self.total = console, total
        self._done = 0
        self._first = 0.0
        self._bar = Progress(
            TextColumn("examining"), BarColumn(40), MofNCompleteColumn(), TextColumn("{task.fields[left]}"),
            console=console, disable=not console.is_terminal, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=total, left=ESTIMATING)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def done(self, plan: TrialPlan, examined: Examined) -> None:
        """A run has been examined."""
        self._advance()
        if not self.console.is_terminal:
            iw_nll = examined.final()["test/iw_nll"]
            self._say(
                f"examined [{self._done}/{self.total}] {describe(plan)}: IW-NLL {iw_nll:.2f}, {self._left()}"
            )

    def failed(self, plan: TrialPlan, reason: str) -> None:
        """A run could not be examined."""
        self._advance()
        self._say(f"not examined: {describe(plan)} keeps its figures: {reason}", "yellow")

    def _advance(self) -> None:
        self._done += 1
        if self._done == 1:
            self._first = time.monotonic()
        self._bar.update(self._task, completed=self._done, left=self._left())

    def _left(self) -> str:
        if self._done >= self.total:
            return "done"
        if self._done == 1:  # the first had to wait for its process to start
            return ESTIMATING
        seconds = (time.monotonic() - self._first) / (self._done - 1) * (self.total - self._done)
        return f"about {duration(seconds)} left"

    def _say(self, line: str, style: str = "") -> None:
        self.console.print(line, style=style, highlight=False, soft_wrap=True, markup=False)
