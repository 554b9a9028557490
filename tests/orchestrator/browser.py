"""MLflow's user interface in a real browser: what its charts hold, and pictures of it.

python -m tests.orchestrator.browser URL picture.png [WIDTH HEIGHT]
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.sweep_process import ROOT

PATIENCE = 60.0
OUTPUT = Path(os.environ.get("TEST_OUTPUT", ROOT / "tests" / "output"))
"""Where the tests leave their pictures."""

_BROWSERS, _DRIVER = ("chromium", "chromium-browser", "google-chrome"), "chromedriver"
_SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
_NO_ASSISTANT = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
_CHARTS = """
const cards = document.querySelectorAll('[data-testid=experiment-view-compare-runs-card]');
return [...cards].map(card => ({
  title: card.innerText.split('\\n')[0],
  axes: [...card.querySelectorAll('.parcoords text.label')].map(label => label.textContent),
  traces: [...card.querySelectorAll('.js-plotly-plot')].flatMap(plot => plot.data).map(trace => ({
    kind: trace.type,
    run: trace.uuid || null,
    points: (trace.x || []).filter((x, i) => x !== null && trace.y[i] !== null).length,
    colours: trace.marker ? [trace.marker.color].flat() : [],
  })),
}));
"""

Found = TypeVar("Found")


@dataclass(frozen=True)
class Trace:
    """What plotly draws in one go: all points of a scatter, or the curve of one run."""

    kind: str
    run: str | None
    points: int
    colours: Sequence[str]


@dataclass(frozen=True)
class Chart:
    """A card of the comparison view; `axes` are the labels of parallel coordinates, long ones abridged."""

    title: str
    axes: Sequence[str]
    traces: Sequence[Trace]

    @property
    def runs(self) -> set[str]:
        """Ids of the runs that have a curve."""
        return {trace.run for trace in self.traces if trace.run is not None and trace.points}


class Browser:
    """A page of MLflow's user interface, without the assistant that opens on a first visit."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        parts = urlsplit(address)
        self.driver.get(f"{parts.scheme}://{parts.netloc}/version")  # the storage belongs to the server
        self.driver.execute_script(_NO_ASSISTANT)
        self.driver.get(address)

    def resize(self, width: int, height: int) -> None:
        """To so many pixels of the page itself."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def run(self, script: str, *arguments: Any) -> Any:
        """What the script returns."""
        return self.driver.execute_script(script, *arguments)

    def charts(self) -> list[Chart]:
        """All cards that are drawn; those out of sight are empty."""
        return [
            Chart(card["title"], card["axes"], [Trace(**trace) for trace in card["traces"]])
            for card in self.run(_CHARTS)
        ]

    def wait(self, what: Callable[[], Found]) -> Found:
        """Waits until that is neither empty nor zero."""
        end = time.monotonic() + PATIENCE
        while not (found := what()):
            assert time.monotonic() < end, self.run("return document.body.innerText")[:2000]
            time.sleep(0.2)
        return found

    def settled(self, seconds: float = 1.0) -> None:
        """Waits until nothing on the page has changed for so long."""
        last, since, end = "", time.monotonic(), time.monotonic() + PATIENCE
        while time.monotonic() < min(since + seconds, end):
            time.sleep(0.2)
            now = str(self.run("return document.body.innerHTML.length + ' ' + document.images.length"))
            if now != last:
                last, since = now, time.monotonic()

    def save(self, path: Path) -> None:
        """A picture of the page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        assert self.driver.save_screenshot(str(path))


def missing() -> str | None:
    """Why there can be no browser here; None where there can."""
    if not any(shutil.which(name) for name in _BROWSERS):
        return f"no {' or '.join(_BROWSERS)} on the PATH"
    return None if shutil.which(_DRIVER) else f"no {_DRIVER} on the PATH"


@contextmanager
def browser(width: int = 1600, height: int = 1200) -> Iterator[Browser]:
    """A Chromium without a window and without a past; ended with the block."""
    binary, driver = next(filter(None, map(shutil.which, _BROWSERS))), shutil.which(_DRIVER)
    assert driver is not None, missing()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = binary
        for switch in (*_SWITCHES, f"--user-data-dir={profile}"):
            options.add_argument(switch)
        chrome = webdriver.Chrome(options=options, service=Service(driver))
        try:
            opened = Browser(chrome)
            opened.resize(width, height)
            yield opened
        finally:
            chrome.quit()


def photograph(address: str, path: Path, width: int = 1600, height: int = 1200) -> None:
    """A picture of a page of MLflow's user interface, once it has come to rest; notes are unfolded."""
    with browser(width, height) as page:
        page.open(address)
        page.settled(3.0)
        if unfold(page):
            page.settled()
        page.save(path)


def unfold(page: Browser) -> bool:
    """Shows the whole of a run's note; whether there is more than the page shows at first."""
    script = (
        "const more = [...document.querySelectorAll('button, a')].filter(e => e.innerText == 'Show more');"
    )
    return bool(page.run(f"{script} more.forEach(e => e.click()); return more.length > 0"))


if __name__ == "__main__":
    photograph(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
