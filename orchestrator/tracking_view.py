"""A ready comparison of a sweep's trials in MLflow's user interface.

MLflow keeps a shared view of its charts as an experiment tag, JSON that only its own interface is meant
to write. That format is undocumented: pyproject.toml holds MLflow to one minor release for its sake.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from orchestrator.tracking_links import KIND_TAG, SWEEP_TAG, equals

_COLUMNS = ("params.`variant`", "tags.`frontier`", "metrics.`best/nll`", "metrics.`best/kl`")
_SECTION = "frontier"


def view_tag(sweep: str) -> str:
    """Name of the experiment tag that holds the sweep's view."""
    return f"mlflow.sharedViewState.{_key(sweep)}"


def view_link(base_url: str, experiment_id: str, sweep: str) -> str:
    """Link to the sweep's view. Any further search parameter would make MLflow ignore the view."""
    return (
        f"{base_url.rstrip('/')}/#/experiments/{experiment_id}/runs"
        f"?workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey={_key(sweep)}"
    )


def view(sweep: str, knobs: Sequence[str]) -> str:
    """NLL over KL of all trials, their knobs in parallel coordinates, and the KL over the epochs, as JSON."""
    nll, kl, total = "best/nll", "best/kl", "best/nll_plus_kl"
    state: dict[str, Any] = {
        "searchFilter": f"{equals(SWEEP_TAG, sweep)} AND tags.`{KIND_TAG}` != 'sweep'",
        "orderByKey": f"metrics.`{total}`",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "runsHiddenMode": "SHOWALL",
        "isAccordionReordered": True,
        "selectedColumns": [*_COLUMNS, *(f"params.`{knob}`" for knob in knobs)],
        "compareRunSections": [
            {"uuid": _SECTION, "name": "Frontier", "display": True}
            | {"isReordered": False, "deleted": False, "isGenerated": False}
        ],
        "compareRunCharts": [
            _card("scatter", "SCATTER", xaxis=_metric(kl), yaxis=_metric(nll)),
            _card(
                "parallel",
                "PARALLEL",
                selectedParams=[*knobs],
                selectedMetrics=[kl, nll, total],
                showAllRuns=False,
            ),
            _curve("kl"),
            _curve("nll"),
        ],
    }
    return json.dumps(state, separators=(",", ":"))


def _key(sweep: str) -> str:
    return hashlib.sha256(sweep.encode()).hexdigest()[:32]


def _metric(name: str) -> dict[str, str]:
    return {"key": name, "type": "METRIC"}


def _card(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    place = {"uuid": name, "type": kind, "metricSectionId": _SECTION}
    return place | {"deleted": False, "isGenerated": False, "runsCountToCompare": 100} | fields


def _curve(metric: str) -> dict[str, Any]:
    """A metric over the epochs."""
    return _card(
        f"line-{metric}",
        "LINE",
        metricKey=metric,
        selectedMetricKeys=[metric],
        selectedYAxisMetricKey=metric,
        yAxisKey="metric",
        yAxisExpressions=[],
        xAxisKey="step",
        scaleType="linear",
        xAxisScaleType="linear",
        lineSmoothness=0,
        range={},
    )
