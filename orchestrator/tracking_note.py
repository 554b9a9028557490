"""The note above a sweep's run in MLflow: what to open, the verdicts, the figure, the frontier table.

The interface shows its first lines, the rest on demand. It takes Markdown, but no sizes of pictures and no
alignment of columns, and opens links in a new tab. They are relative: they hold wherever the interface is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from orchestrator.tables import frontier_markdown, verdicts
from orchestrator.tracking_limits import LONGEST_TAG, shortened_markdown
from orchestrator.tracking_links import artifact_page, artifact_source, run_page

FIGURE, FIGURE_DPI = "frontier_note.png", 85
"""Of the picture in the note: the interface shows it as wide as it is, some 800 pixels."""
_GAP = "\u2002\u200b"  # its tables have no padding, and it takes away plain spaces at the end of a cell


@dataclass(frozen=True)
class NoteTargets:
    """What the note links to.

    Attributes:
        parent: id of the sweep's run.
        trials: ids of the trials' runs, by trial id.
        comparison: page of the charts or of the table of all trials, such as `tracking_view.view_page`.
        artifacts: names of the sweep's files that are worth opening.
        figure: name of the file with the picture; None where there is none.
    """

    experiment_id: str
    parent: str
    trials: Mapping[str, str]
    comparison: str
    artifacts: Sequence[str] = ()
    figure: str | None = None


def note(
    configurations: pd.DataFrame,
    targets: NoteTargets,
    *,
    entropy_floor: float | None,
    limit: int = LONGEST_TAG,
) -> str:
    """The note as Markdown of at most `limit` characters; the table's last rows give way, and it says so.

    Args:
        configurations: from ``frontier.configurations``.
        entropy_floor: entropy of the corpus in nats per sentence, or None.
    """
    experiment, parent = targets.experiment_id, targets.parent
    links = {trial: run_page(experiment, run) for trial, run in targets.trials.items()}
    files = [f"[{name}]({artifact_page(experiment, parent, name)})" for name in targets.artifacts]
    parts = [
        " · ".join([f"**[compare all trials]({targets.comparison})**", *files]),
        "\n".join(f"- {verdict}" for verdict in verdicts(configurations)),
        _spaced(frontier_markdown(configurations, entropy_floor=entropy_floor, links=links)),
    ]
    if targets.figure is not None:
        parts.insert(2, f"![the frontier]({artifact_source(parent, targets.figure)})")
    return shortened_markdown("\n\n".join(part for part in parts if part), limit)


def _spaced(table: str) -> str:
    """The table with room between its columns, and without line breaks in its numbers."""
    header, line, *rest = (
        row.replace(" ± ", "\u00a0±\u00a0").replace("| • ", "| •\u00a0").replace(" | ", f"{_GAP} | ")
        for row in table.splitlines()
    )
    return "\n".join([header, line.replace(_GAP, ""), *rest])
