"""A sentence on each variant: does it beat the baseline, by how much, and how sure is that.

All figures are in nats per sentence. A difference is NLL + KL less the baseline's: negative is better.
"""

from __future__ import annotations

import math

import pandas as pd

from orchestrator.analysis.frontier import best_by_gain
from orchestrator.analysis.verdict import MARGIN, Verdict
from orchestrator.common.wording import difference, number, plural, probability, signed, uncertainty

_WORDS = {
    Verdict.BEATS: "beats the baseline",
    Verdict.LOSES: "is worse than the baseline",
    Verdict.TIES: "ties with the baseline",
    Verdict.UNDECIDED: "is not told from the baseline",
}
_COLLAPSED = "its latent variable has collapsed, so that the difference is not the latent variable's"


def verdicts(configurations: pd.DataFrame) -> list[str]:
    """One sentence per variant, best first.

    Args:
        configurations: from ``frontier.configurations``, with the columns of ``iw_gain`` or without.
    """
    best = best_by_gain(configurations)
    picked_from = configurations.groupby("variant").size()
    return [_verdict(row, int(picked_from[row["variant"]])) for _, row in best.iterrows()]


def _verdict(row: pd.Series, candidates: int) -> str:
    name = f"{row['variant']} ({row['knobs']})" if row["knobs"] else str(row["variant"])
    if row["failed"]:
        return f"{name} failed in {row['failed']} of {plural(int(row['runs']), 'run')}: no comparison"
    if not math.isfinite(row["gain"]):
        return f"{name} cannot be compared: there is no baseline with its decoder, {row['decoder']}"
    basis = _basis(row, candidates)
    if row["gain_verdict"] == Verdict.NONE:
        return _untested(name, row, basis)
    if not math.isfinite(row["gain_se"]):
        return f"{name}: {signed(-row['gain'])} nats per sentence, uncertainty unknown ({basis})"
    sure = f"p = {probability(row['gain_p_holm'])}, ".replace("= <", "<")
    return f"{name} {_tested(row)} ({sure}{basis}){_by_iw_nll(row)}{_caveats(row)}"


def _untested(name: str, row: pd.Series, basis: str) -> str:
    """What the search picked, or a single run: a look, no verdict."""
    better = "better" if row["gain"] > 0 else "no better"
    size = f"{difference(-row['gain'], row['gain_se'])} nats per sentence"
    caveat = f"; {_COLLAPSED}" if row["gain"] > 0 and row["collapsed"] else ""
    return f"{name} looks {better} than the baseline: {size}, untested ({basis}){caveat}"


def _tested(row: pd.Series) -> str:
    verdict, gain, error = Verdict(row["gain_verdict"]), float(row["gain"]), float(row["gain_se"])
    words = _WORDS[verdict]
    if verdict is Verdict.BEATS:
        at_budget = "" if row["baseline_converged"] else " at this budget"
        words = f"beats the collapsed baseline{at_budget}"
    if verdict in (Verdict.BEATS, Verdict.LOSES):
        size = number(abs(gain), 3 if error < 0.01 else 2)
        return f"{words} by {size} ± {uncertainty(error)} nats per sentence"
    between = f"between {signed(-row['gain_high'])} and {signed(-row['gain_low'])}"
    if verdict is Verdict.TIES:
        between += f", within {number(MARGIN * row['baseline_nll'])}"
    return f"{words}: {difference(-gain, error)} nats per sentence, {between}"


def _by_iw_nll(row: pd.Series) -> str:
    """The same by the tighter bound."""
    verdict = row.get("iw_gain_verdict", Verdict.NONE)
    if not verdict or not math.isfinite(row["iw_gain_se"]):
        return ""
    p = f"p = {probability(row['iw_gain_p_holm'])}".replace("= <", "<")
    return (
        f"; by IW-NLL it {_WORDS[Verdict(verdict)]}: {difference(-row['iw_gain'], row['iw_gain_se'])} ({p})"
    )


def _caveats(row: pd.Series) -> str:
    """What else has to be known: that it is not the latent variable's doing, or that training was short."""
    found = []
    if row["gain_verdict"] == Verdict.BEATS and row["collapsed"]:
        found.append(_COLLAPSED)
    if row["gain_verdict"] == Verdict.BEATS and not row["baseline_converged"]:
        promised = row["baseline_still_to_gain"]
        found.append(
            f"the baseline has not converged, {number(promised)} nats still to gain"
            if math.isfinite(promised)
            else "whether the baseline has converged is not known"
        )
    if row["unconverged"]:
        found.append(f"it has not converged itself, {number(row['still_to_gain'])} nats still to gain")
    return "".join(f"; {caveat}" for caveat in found)


def _basis(row: pd.Series, candidates: int) -> str:
    """What the figure rests on, so that nobody takes a picked run for a replicated one."""
    runs = int(row["runs"])
    if row["fresh"]:
        text = plural(runs, "fresh seed")
    elif candidates > 1:
        count = "a single run" if runs == 1 else plural(runs, "run")
        text = f"{count}, chosen as the best of {candidates}: expect it to be optimistic"
    else:
        text = "a single run" if runs == 1 else plural(runs, "run")
    return text if row["seed_noise_known"] else f"{text}; noise between seeds unknown"
