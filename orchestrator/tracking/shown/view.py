"""A ready comparison of a sweep's trials in MLflow's user interface.

MLflow keeps a shared view of its charts as an experiment tag, JSON that only its own interface is meant
to write. That format is undocumented: pyproject.toml holds MLflow to one minor release for its sake, and
`tests/orchestrator/tracking/test_browser.py` looks at the result in a browser.

What the interface does, and what follows from it here:

* it loads 100 runs, in the view's order, and more only when asked to: of more trials the frontier goes first;
* a chart in parallel coordinates leaves out every run that lacks one of its params: each variant has its
  own, and as variants share knobs, a param that only its trials have (`trial_param`);
* it adds a chart for every metric that is in none: these go into closed sections below.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from orchestrator.tracking.server.links import KIND_TAG, SWEEP_TAG, equals, runs_page
from search_spaces.space import Distributions

MOST_RUNS = 100
"""How many runs the interface loads at once."""
MOST_CHARACTERS = 20_000
"""Of an experiment's tag in MLflow."""

_NLL, _KL, _TOTAL, _MI = "test/nll", "test/kl", "test/nll_plus_kl", "test/mutual_information"
_COLUMNS = (
    "params.`variant`", "params.`kind`", "tags.`frontier`",
    *(f"metrics.`{name}`" for name in (_NLL, _KL, _TOTAL, _MI, "test/iw_nll")),
)  # fmt: skip
_FRONTIER = "frontier"
_CURVES = ("kl", "mutual_information", "nll", "nll_plus_kl")
_GENERATED = ("Model metrics", "best", "test", "train", "probe")
"""Sections that the interface makes by itself."""


def trial_param(variant: str) -> str:
    """Name of the param that tells a variant's trials from all others, with the trial's kind as its value."""
    return f"{variant}/kind"


def view_tag(sweep: str) -> str:
    """Name of the experiment tag that holds the sweep's view."""
    return f"mlflow.sharedViewState.{_key(sweep)}"


def view_link(base_url: str, experiment_id: str, sweep: str) -> str:
    """Link to the sweep's view. Any further search parameter would make MLflow ignore the view."""
    return f"{base_url.rstrip('/')}/{view_page(experiment_id, sweep)}"


def view_page(experiment_id: str, sweep: str) -> str:
    """The page with the view, below the address of the user interface."""
    return f"{runs_page(experiment_id)}&compareRunsMode=CHART&viewStateShareKey={_key(sweep)}"


def view(sweep: str, spaces: Mapping[str, Distributions], *, trials: int) -> str:
    """The view as JSON: a section on the frontier, then one for each variant that is searched.

    Where that is more than MLflow holds, the last variants have none.

    Args:
        spaces: the searched knobs of each variant.
        trials: how many the sweep has, of all kinds.
    """
    searched = {variant: space for variant, space in spaces.items() if space}
    cards = [card for variant, space in searched.items() for card in _variant_cards(variant, space)]
    everything = trials <= MOST_RUNS
    state: dict[str, Any] = {
        "searchFilter": f"{equals(SWEEP_TAG, sweep)} AND tags.`{KIND_TAG}` != 'sweep'",
        "orderByKey": f"metrics.`{_TOTAL}`" if everything else "tags.`frontier`",
        "orderByAsc": everything,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "runsHiddenMode": "SHOW_ALL",
        "isAccordionReordered": True,  # else the sections are sorted by name
        "selectedColumns": [*_COLUMNS],
        "compareRunSections": [
            _section(_FRONTIER, _title(trials), height=400),
            *(_section(variant, variant) for variant in searched),
            *(_section(name, name, display=False) for name in _GENERATED),
        ],
        "compareRunCharts": [*_frontier_cards(), *cards],
    }
    text = json.dumps(state, separators=(",", ":"))
    if len(text) > MOST_CHARACTERS and searched:
        return view(sweep, dict([*searched.items()][:-1]), trials=trials)
    return text


def _frontier_cards() -> list[dict[str, Any]]:
    return [
        _card(_FRONTIER, "scatter", "SCATTER", xaxis=_metric(_KL), yaxis=_metric(_NLL)),
        _parallel(_FRONTIER, ["variant"], [_MI, _KL, _NLL, _TOTAL]),
        *(_curve(_FRONTIER, name) for name in _CURVES),
    ]


def _variant_cards(variant: str, space: Distributions) -> list[dict[str, Any]]:
    """Parallel coordinates over the searched knobs, and NLL + KL over the first two with numbers."""
    cards = [_parallel(variant, [trial_param(variant), *space], [_KL, _TOTAL])]
    numeric = [_param(knob) for knob in space if _is_numeric(space[knob])][:2]
    if len(numeric) == 2:
        axes = {"xaxis": numeric[0], "yaxis": numeric[1], "zaxis": _metric(_TOTAL)}
        cards.append(_card(variant, "contour", "CONTOUR", **axes))
    elif numeric:
        cards.append(_card(variant, "over", "SCATTER", xaxis=numeric[0], yaxis=_metric(_TOTAL)))
    return cards


def _is_numeric(distribution: BaseDistribution) -> bool:
    if not isinstance(distribution, CategoricalDistribution):
        return True
    return all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in distribution.choices
    )


def _key(sweep: str) -> str:
    return hashlib.sha256(sweep.encode()).hexdigest()[:32]


def _title(trials: int) -> str:
    """Some 40 characters of it are shown."""
    return "Frontier" if trials <= MOST_RUNS else f"Frontier: the first {MOST_RUNS} of {trials} runs"


def _section(key: str, name: str, *, display: bool = True, height: int = 360) -> dict[str, Any]:
    about = {"uuid": key, "name": name, "display": display, "columns": 2, "cardHeight": height}
    return about | {"isReordered": False, "deleted": False, "isGenerated": False}


def _card(section: str, name: str, kind: str, **fields: Any) -> dict[str, Any]:
    place = {"uuid": f"{section}: {name}", "type": kind, "metricSectionId": section}
    return place | {"deleted": False, "isGenerated": False, "runsCountToCompare": MOST_RUNS} | fields


def _parallel(section: str, params: Sequence[str], figures: Sequence[str]) -> dict[str, Any]:
    """Params, then figures; the last colours the lines."""
    fields = {"selectedParams": [*params], "selectedMetrics": [*figures], "showAllRuns": False}
    return _card(section, "parallel", "PARALLEL", **fields)


def _metric(name: str) -> dict[str, str]:
    return {"key": name, "type": "METRIC"}


def _param(name: str) -> dict[str, str]:
    return {"key": name, "type": "PARAM"}


def _curve(section: str, metric: str) -> dict[str, Any]:
    """A metric over the epochs."""
    return _card(
        section,
        metric,
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
