"""The posterior mean space as a page with a slider over training: plotly, with its script inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from orchestrator.common.colours import GRID, INK
from orchestrator.posterior_means.view import COLOURS, LAG_COLOUR, View, figures
from orchestrator.reports.figures.page import Section, safe, write_page
from trainables.training.posterior_means import FloatArray, MeanSpace

BoolArray = npt.NDArray[np.bool_]
_X_TITLE = "μ<sub>θ</sub>(x), the mean of the model's posterior"
_Y_TITLE = "μ<sub>φ</sub>(x), the mean of the encoder"
_MILLISECONDS = 400


def write(view: View, title: str, path: Path) -> None:
    """Write the page; it needs no network."""
    write_page([Section("means", page_figure(view, title))], title=title, path=path)


def page_figure(view: View, title: str) -> go.Figure:
    """The variants side by side, a frame for each update, a slider and a button that plays them."""
    updates, count = view.updates, len(view.spaces)
    figure = make_subplots(rows=1, cols=count, subplot_titles=[" "] * count, horizontal_spacing=0.07)
    for column, variant in enumerate(view.spaces, start=1):
        _lines(figure, view.limit, column)
        _dots(figure, view, view.at(variant, updates[-1]), column)
    moving = [index for index, trace in enumerate(figure.data) if trace.mode == "markers"]
    figure.frames = [
        go.Frame(
            name=f"{update:,}", data=_moved(view, update), traces=moving,
            layout={"annotations": _headings(figure, view, update)},
        )
        for update in updates
    ]  # fmt: skip
    figure.update_layout(
        title={"text": safe(title), "x": 0.01, "xanchor": "left", "y": 0.98, "yanchor": "top"},
        template="plotly_white",
        font={"color": INK}, margin={"l": 70, "r": 20, "t": 140, "b": 30}, hovermode="closest",
        annotations=_headings(figure, view, updates[-1]), sliders=[_slider(figure)], updatemenus=[_button()],
        legend={"itemsizing": "constant", "orientation": "h", "x": 0, "yref": "container", "y": 0.94,
                "yanchor": "top"},
    )  # fmt: skip
    axis = {"range": [-view.limit, view.limit], "gridcolor": GRID, "zeroline": False, "constrain": "domain"}
    figure.update_xaxes(**axis, title_text=_X_TITLE)
    figure.update_yaxes(**axis)
    figure.update_yaxes(title_text=_Y_TITLE, row=1, col=1)
    for column in range(1, count + 1):
        figure.update_yaxes(scaleanchor=f"x{column if column > 1 else ''}", row=1, col=column)
    return figure


def _lines(figure: go.Figure, limit: float, column: int) -> None:
    """The diagonal, and μ_φ = 0."""
    for name, height, line in (
        ("encoder and model agree", limit, {"color": INK, "dash": "dash", "width": 1}),
        ("μ<sub>φ</sub> = 0: the encoder has collapsed", 0.0, {"color": LAG_COLOUR, "width": 1.5}),
    ):
        figure.add_trace(
            go.Scatter(x=[-limit, limit], y=[-height, height], mode="lines", line=line, name=name,
                       legendgroup=name, showlegend=column == 1, hoverinfo="skip"),
            row=1, col=column,
        )  # fmt: skip


def _dots(figure: go.Figure, view: View, space: MeanSpace, column: int) -> None:
    for component, (name, where_N) in enumerate(_components(view)):
        colour = COLOURS[component % len(COLOURS)]
        figure.add_trace(
            go.Scatter(x=_rounded(space.model_N[where_N]), y=_rounded(space.encoder_N[where_N]),
                       mode="markers", marker={"color": colour, "size": 6, "opacity": 0.6},
                       name=f"z around {name}", legendgroup=name, showlegend=column == 1,
                       text=[f"sentence {i}" for i in np.flatnonzero(where_N)],
                       hovertemplate=_indexed("%{text}: μ_θ %{x}, μ_φ %{y}<extra></extra>")),
            row=1, col=column,
        )  # fmt: skip


def _moved(view: View, update: int) -> list[go.Scatter]:
    """Where the dots are after so many updates, in the order in which they were added."""
    return [
        go.Scatter(x=_rounded(space.model_N[where_N]), y=_rounded(space.encoder_N[where_N]))
        for space in (view.at(variant, update) for variant in view.spaces)
        for _, where_N in _components(view)
    ]


def _components(view: View) -> list[tuple[str, BoolArray]]:
    return [(name, view.component_N == component) for component, name in enumerate(view.components)]


def _headings(figure: go.Figure, view: View, update: int) -> list[dict[str, Any]]:
    """Over each panel its variant and the space in numbers."""
    return [
        {
            **place.to_plotly_json(),
            "font": {"size": 13},
            "text": f"<b>{variant}</b><br>{_indexed(figures(view.at(variant, update)))}",
        }
        for place, variant in zip(figure.layout.annotations, view.spaces, strict=True)
    ]


def _slider(figure: go.Figure) -> dict[str, Any]:
    names = [frame.name for frame in figure.frames]
    show = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    return {
        "active": len(names) - 1, "currentvalue": {"prefix": "updates: "}, "pad": {"t": 50},
        "x": 0.08, "len": 0.92,
        "steps": [{"label": name, "method": "animate", "args": [[name], show]} for name in names],
    }  # fmt: skip


def _button() -> dict[str, Any]:
    frame = {"duration": _MILLISECONDS, "redraw": True}
    play = {"frame": frame, "transition": {"duration": _MILLISECONDS // 2}, "fromcurrent": False}
    return {
        "type": "buttons", "showactive": False, "x": 0.0, "xanchor": "left", "y": 0.0, "yanchor": "top",
        "pad": {"t": 72}, "buttons": [{"label": "play", "method": "animate", "args": [None, play]}],
    }  # fmt: skip


def _indexed(text: str) -> str:
    return text.replace("_θ", "<sub>θ</sub>").replace("_φ", "<sub>φ</sub>")


def _rounded(means: FloatArray) -> list[float]:
    rounded: list[float] = np.round(means, 4).tolist()
    return rounded
