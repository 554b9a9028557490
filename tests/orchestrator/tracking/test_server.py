"""The tracker against a real MLflow server on loopback: killed, restarted, hung; and the user interface."""

import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from orchestrator.tracking.server.links import sweep_link, ui_address, ui_command
from orchestrator.tracking.shown.view import view, view_link, view_tag
from orchestrator.tracking.tracker import MlflowTracker
from search_spaces.space import Extent, load_space
from tests.orchestrator.database import sqlite_uri
from tests.orchestrator.tracking_fixtures import Reader, delivered, free_port, plan, running

SPACES = {"cyclical": load_space("cyclical").distributions(Extent(6))}


def server_arguments(folder: Path) -> tuple[str, ...]:
    destination = str(folder / "files")
    store = f"sqlite:///{folder}/server.db"
    return ("server", "--workers", "1", "--backend-store-uri", store, "--artifacts-destination", destination)


def longest_call(calls: Sequence[Callable[[], object]]) -> float:
    longest = 0.0
    for call in calls:
        start = time.monotonic()
        call()
        longest = max(longest, time.monotonic() - start)
    return longest


@pytest.mark.slow
def test_a_server_that_is_killed_and_one_that_hangs(tmp_path: Path) -> None:
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    tracker = MlflowTracker(uri, "s", tmp_path)

    def epochs(first: int, last: int) -> list[Callable[[], object]]:
        return [
            partial(tracker.log_metrics, "t0", {"nll": epoch + 0.5, "kl": 1.0}, epoch)
            for epoch in range(first, last)
        ]

    (tmp_path / "sweep.yaml").write_text("corpus: grammar\n")
    with running(*server_arguments(tmp_path), folder=tmp_path, port=port):
        assert tracker.start_sweep(params={"a": "b"}, files=[tmp_path / "sweep.yaml"]) is None
        tracker.start_trial("t0", plan())
        longest_call(epochs(0, 50))
        assert delivered(tracker, 60)
        longest_call(epochs(50, 60))  # some of it in flight at the end
    assert longest_call([*epochs(60, 100), lambda: tracker.start_trial("t1", plan())]) < 0.2
    assert not delivered(tracker, 2), "nobody is there"
    with running(*server_arguments(tmp_path), folder=tmp_path, port=port) as server:
        assert delivered(tracker, 60)
        reader = Reader(uri)
        everything = [(epoch, epoch + 0.5) for epoch in range(100)]
        assert reader.history("t0", "nll") == everything

        os.killpg(server.pid, signal.SIGSTOP)
        assert longest_call(epochs(100, 110)) < 0.2
        assert not delivered(tracker, 7), "the request in flight has run into its timeout"
        os.killpg(server.pid, signal.SIGCONT)
        tracker.end_trial("t0", "FINISHED")
        tracker.finish_sweep(status="FINISHED", artifacts=[tmp_path / "sweep.yaml"])
        delivery = tracker.close(60)
        assert delivery.complete, str(delivery)
        everything = [(epoch, epoch + 0.5) for epoch in range(110)]
        assert reader.history("t0", "nll") == everything
        assert reader.trials()["t1"].info.status == "KILLED"
        assert reader.parent().info.status == "FINISHED"
        assert reader.artifacts() == ["sweep.yaml"]


@pytest.mark.slow
def test_a_bare_mlflow_ui_shows_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("frontier.csv").write_text("nll,kl\n")
    tracker = MlflowTracker("sqlite:///mlflow.db", "it's s", folder)
    assert tracker.start_sweep(spaces=SPACES, trials=1) is None
    tracker.start_trial("t0", plan())
    tracker.log_metrics("t0", {"nll": 1.0}, 1)
    tracker.finish_sweep(status="FINISHED", artifacts=[Path("frontier.csv")])
    assert tracker.close(30).complete
    assert tracker.link is not None
    assert ui_command(tracker.tracking_uri) == "mlflow ui"

    port = free_port()
    with running("ui", "--workers", "1", folder=folder, port=port):
        query = parse_qs(urlsplit(tracker.link.replace("/#/", "/")).query)
        body = {"experiment_ids": [tracker.experiment_id], "filter": query["searchFilter"][0]}
        body["order_by"] = [f"{query['orderByKey'][0]} ASC"]
        runs = ask(port, "api/2.0/mlflow/runs/search", body)["runs"]
        assert [run["info"]["run_name"] for run in runs] == ["cyclical cycles=4 ramp_share=0.5", "it's s"]
        url = f"http://127.0.0.1:{port}/get-artifact?path=frontier.csv&run_uuid={runs[1]['info']['run_id']}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.read() == b"nll,kl\n"
        experiment = ask(port, f"api/2.0/mlflow/experiments/get?experiment_id={tracker.experiment_id}")
        tags = {tag["key"]: tag["value"] for tag in experiment["experiment"]["tags"]}
        assert tags[view_tag("it's s")] == view("it's s", SPACES, trials=1)


def ask(port: int, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/{path}", data, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    port = free_port()
    tracker = MlflowTracker(f"http://me:secret@127.0.0.1:{port}", "s", tmp_path)
    problem = tracker.start_sweep()
    assert problem is not None
    assert f"http://127.0.0.1:{port}" in problem
    assert "secret" not in problem
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "5"
    tracker.start_trial("t0", plan())
    tracker.log_metrics("t0", {"nll": 1.0}, 1)
    tracker.finish_sweep(status="FINISHED")
    start = time.monotonic()
    delivery = tracker.close(60)
    assert time.monotonic() - start < 10
    assert delivery.points_waiting == 1
    assert "secret" not in str(delivery)


def test_a_server_that_never_answers(tmp_path: Path) -> None:
    """It takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        uri = f"http://127.0.0.1:{listening.getsockname()[1]}"
        tracker = MlflowTracker(uri, "s", tmp_path)
        assert tracker.start_sweep(wait_s=0.5) is not None
        calls = [
            partial(tracker.start_trial, "t0", plan()),
            *(partial(tracker.log_metrics, "t0", {"nll": 1.0}, epoch) for epoch in range(100)),
            partial(tracker.end_trial, "t0", "FINISHED"),
            partial(tracker.finish_sweep, status="KILLED"),
        ]
        assert longest_call(calls) < 0.2
        start = time.monotonic()
        delivery = tracker.close(0.5)
        assert time.monotonic() - start < 1.5
        assert (delivery.points_delivered, delivery.points_waiting) == (0, 100)


def test_commands_and_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = sqlite_uri(Path())
    assert here == f"sqlite:///{tmp_path}/mlflow.db"
    assert ui_command(here) == ui_command("sqlite:///mlflow.db") == "mlflow ui"
    (tmp_path / "mlruns").mkdir()  # a folder of that name makes a bare `mlflow ui` look there
    assert ui_command(here) == f"mlflow ui --backend-store-uri {here}"
    elsewhere = sqlite_uri(tmp_path / "a b")
    assert ui_command(elsewhere) == f"mlflow ui --backend-store-uri '{elsewhere}'"
    assert ui_address(here) == "http://127.0.0.1:5000"
    assert ui_command("http://host:1") == ""
    assert ui_address("https://me:secret@host:1/") == "https://host:1"
    assert sweep_link("http://host:1/", "7", "it's") == (
        "http://host:1/#/experiments/7/runs?workflowType=machine_learning"
        "&searchFilter=tags.%60orchestrator.sweep%60%20%3D%20%22it%27s%22"
        "&orderByKey=metrics.%60nll_plus_kl%60&orderByAsc=true"
    )
    key = view_tag("s").removeprefix("mlflow.sharedViewState.")
    assert view_link("http://host:1", "7", "s").endswith(f"&compareRunsMode=CHART&viewStateShareKey={key}")
