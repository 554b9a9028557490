"""Whether the MLflow that shows the results knows the comparison view: its format may change."""

from __future__ import annotations

import base64
import http.client
import importlib.metadata
import os
import urllib.request
from urllib.parse import unquote, urlsplit

from orchestrator.common.problems import without_password
from orchestrator.tracking.server.links import is_server

TESTED = "3.17"
"""The minor release that `tests/orchestrator/tracking/test_browser.py` looks at; no other is installed."""
PATIENCE = 3.0
"""Seconds that a server may take to tell its version."""


def knows_view(tracking_uri: str) -> bool:
    """Whether MLflow shows the view of `shown.view`: the server of that address, else the installed one.

    A server that does not tell its version within `PATIENCE` seconds is taken not to know it.
    """
    version = _of_server(tracking_uri) if is_server(tracking_uri) else _installed()
    return version == TESTED or version.startswith(f"{TESTED}.")


def _installed() -> str:
    try:
        return importlib.metadata.version("mlflow")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _of_server(address: str) -> str:
    """The server's version; empty if it does not tell."""
    try:
        request = urllib.request.Request(f"{without_password(address).rstrip('/')}/version")
        if credentials := _credentials(address):
            # not sent on to where the server may redirect to
            request.add_unredirected_header("Authorization", credentials)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return str(answer.read(100).decode().strip())
    except (OSError, ValueError, http.client.HTTPException):  # no answer, or none that can be understood
        return ""


def _credentials(address: str) -> str | None:
    """The header that MLflow's client would send: the address's user, the environment's, or its token."""
    parts = urlsplit(address)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not user:
        user = os.environ.get("MLFLOW_TRACKING_USERNAME", "")
        password = os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if user:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
    return f"Bearer {token}" if token else None
