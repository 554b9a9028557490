"""Where the results are: the tracking address, the command that shows it, the link to one sweep."""

from __future__ import annotations

import shlex
from pathlib import Path
from urllib.parse import quote, urlsplit

from orchestrator.common.addresses import sqlite_address, sqlite_file
from orchestrator.common.problems import without_password

SWEEP_TAG, KIND_TAG, TRIAL_TAG = "orchestrator.sweep", "orchestrator.kind", "orchestrator.trial_id"
PLAN_TAG, NUMBER_TAG = "orchestrator.plan", "orchestrator.number"
"""A trial's `TrialPlan.config()` as JSON; its place in the sweep."""
FAILURE_TAG = "orchestrator.failure"
"""Of a run that FAILED, why."""
DATABASE = "mlflow.db"
LOCAL_UI = "http://127.0.0.1:5000"
"""Where `mlflow ui` listens by default."""

_MODE = "workflowType=machine_learning"  # else the user interface shows what it has for language models


def absolute_uri(tracking_uri: str) -> str:
    """The URI with the path of a sqlite file made absolute."""
    database = sqlite_file(tracking_uri)
    return tracking_uri if database is None else sqlite_address(database)


def is_server(tracking_uri: str) -> bool:
    """Whether the URI is the address of an MLflow server rather than of a database."""
    return urlsplit(tracking_uri).scheme in ("http", "https")


def ui_command(tracking_uri: str, mlflow: str = "mlflow") -> str:
    """The command that serves the results at `ui_address`; empty if a server does so already.

    Plain `mlflow ui` where that finds the database by itself: `mlflow.db` in the working directory. The
    argument `mlflow` is how the shell finds the program.
    """
    if is_server(tracking_uri):
        return ""
    if sqlite_file(tracking_uri) == Path.cwd() / DATABASE and not Path("mlruns").exists():
        return f"{mlflow} ui"
    return f"{mlflow} ui --backend-store-uri {shlex.quote(without_password(tracking_uri))}"


def ui_address(tracking_uri: str) -> str:
    """The base address of the user interface, without a user name or password."""
    return without_password(tracking_uri).rstrip("/") if is_server(tracking_uri) else LOCAL_UI


def sweep_link(base_url: str, experiment_id: str, sweep: str) -> str:
    """Link to the table of runs, filtered to the sweep, lowest NLL + KL first.

    In the order of time MLflow would show the parent run alone, with its trials folded away.
    """
    condition = quote(equals(SWEEP_TAG, sweep), safe="")
    order = quote("metrics.`nll_plus_kl`", safe="")
    return (
        f"{base_url.rstrip('/')}/{runs_page(experiment_id)}&searchFilter={condition}"
        f"&orderByKey={order}&orderByAsc=true"
    )


def runs_page(experiment_id: str) -> str:
    """The page with an experiment's runs, below the address of the user interface."""
    return f"#/experiments/{experiment_id}/runs?{_MODE}"


def run_page(experiment_id: str, run_id: str) -> str:
    """The page of a run, below the address of the user interface."""
    return f"#/experiments/{experiment_id}/runs/{run_id}?{_MODE}"


def artifact_page(experiment_id: str, run_id: str, path: str) -> str:
    """The page that shows a file of a run, below the address of the user interface."""
    return f"#/experiments/{experiment_id}/runs/{run_id}/artifacts/{quote(path)}?{_MODE}"


def artifact_source(run_id: str, path: str) -> str:
    """The file itself, below the address of the user interface."""
    return f"get-artifact?path={quote(path, safe='')}&run_uuid={run_id}"


def equals(tag: str, value: str) -> str:
    """The condition of MLflow's filters that a tag has this value.

    Raises:
        ValueError: for a value with both kinds of quotes, which the filters cannot express.
    """
    quotes = [mark for mark in "'\"" if mark not in value]
    if not quotes:
        raise ValueError(f"must not contain both kinds of quotes, got {value!r}")
    return f"tags.`{tag}` = {quotes[0]}{value}{quotes[0]}"
