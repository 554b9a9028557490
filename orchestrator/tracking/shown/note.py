"""The note above a sweep's run in MLflow: what to open, the verdicts, the figure, the frontier table.

The interface shows its first lines, the rest on demand. It takes Markdown, but no sizes of pictures and no
alignment of columns, and opens links in a new tab. They are relative: they hold wherever the interface is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.tracking.server.limits import LONGEST_TAG, shortened_markdown
from orchestrator.tracking.server.links import artifact_page, artifact_source, run_page

_GAP = "\u2002\u200b"  # its tables have no padding, and it takes away plain spaces at the end of a cell


@dataclass(frozen=True)
class NoteTargets:
    """What the note links to.

    Attributes:
        parent: id of the sweep's run.
        trials: ids of the trials' runs, by trial id.
        comparison: page of the charts or of the table of all trials, such as `view.view_page`.
        artifacts: names of the sweep's files that are worth opening.
        figure: name of the file with the picture; None where there is none.
    """

    experiment_id: str
    parent: str
    trials: Mapping[str, str]
    comparison: str
    artifacts: Sequence[str] = ()
    figure: str | None = None

    @property
    def links(self) -> Mapping[str, str]:
        """The pages of the trials' runs, by trial id."""
        return {trial: run_page(self.experiment_id, run) for trial, run in self.trials.items()}


def note(targets: NoteTargets, verdicts: Sequence[str], table: str, *, limit: int = LONGEST_TAG) -> str:
    """The note as Markdown of at most `limit` characters; the table's last rows give way, and it says so.

    Args:
        verdicts: a sentence for each variant.
        table: the frontier as Markdown, its names linked to `targets.links`.
    """
    experiment, parent = targets.experiment_id, targets.parent
    files = [f"[{name}]({artifact_page(experiment, parent, name)})" for name in targets.artifacts]
    parts = [
        " · ".join([f"**[compare all trials]({targets.comparison})**", *files]),
        "\n".join(f"- {verdict}" for verdict in verdicts),
        _spaced(table),
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
