"""A sentence on each variant: at which budgets it is ahead of its baseline. See `analysis.crossings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from orchestrator.analysis.comparison import checked_runs, grouped
from orchestrator.analysis.crossings import Stretch, gain_over_cost, stretches
from orchestrator.analysis.frontier import FIGURES, best_by_gain
from orchestrator.analysis.verdict import MARGIN
from orchestrator.common.wording import number, thousands

TITLE = "Gain over cost"


def ahead_at_budgets(
    configurations: pd.DataFrame, runs: pd.DataFrame, histories: Mapping[str, pd.DataFrame]
) -> list[str]:
    """One sentence per variant, the largest gain first; none of those whose epochs nobody knows.

    Args:
        configurations: from ``frontier.configurations``.
        runs: the table that they were made from.
        histories: each run's epochs by trial id.
    """
    if runs.empty:
        return []
    groups = grouped(checked_runs(runs, FIGURES))
    epochs = {group.key: [histories[name] for name in group.names if name in histories] for group in groups}
    baselines = {group.key[1]: group.key for group in groups if (group.runs["kind"] == "baseline").all()}
    best = best_by_gain(configurations)
    found = []
    for _, row in best.iterrows():
        theirs = baselines.get(row["decoder"])
        ours = epochs[row["variant"], row["decoder"], row["knobs"]]
        costs, gains = gain_over_cost(ours, epochs[theirs] if theirs else [])
        if len(costs):
            margin = MARGIN * row["baseline_nll"]
            found.append(f"{row['variant']}: {_words(stretches(costs, gains, margin), margin)}")
    return found


def _words(found: Sequence[Stretch], margin: float) -> str:
    if not found:
        return f"never more than {number(margin)} nats from its baseline"
    words = ["ahead" if stretch.ahead else "behind" for stretch in found]
    first, *changes = found
    if not changes:
        return f"{words[0]} at every budget from {thousands(first.start)} tokens on"
    starts = [thousands(stretch.start) for stretch in found]
    return ", ".join(f"{word} from {start} tokens" for word, start in zip(words, starts, strict=True))
