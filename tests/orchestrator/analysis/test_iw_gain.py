"""The gain by IW-NLL, by hand, and which runs it and everything that is examined rest on."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from orchestrator.analysis.frontier import configurations
from orchestrator.analysis.iw_gain import short_of_sentences, trials_of_configurations, with_iw_gain
from orchestrator.analysis.speakers import speakers
from orchestrator.analysis.verdict import Verdict

LOSSES = {
    "b1": np.array([13.0, 12.0, 14.0, 13.0]),  # mean 13.0
    "b2": np.array([13.4, 12.4, 14.4, 13.4]),  # mean 13.4, variance of the two 0.08
    "v1": np.array([12.0, 11.5, 13.0, 12.0]),  # mean 12.125
    "v2": np.array([12.0, 11.5, 13.0, 12.0]),
}


def run(trial_id: str, variant: str, kind: str, seed: int, total: float, **more: object) -> dict[str, object]:
    about = {"trial_id": trial_id, "variant": variant, "kind": kind, "decoder": "lstm", "seed": seed}
    kl = 0.0 if kind == "baseline" else 1.0
    return about | {"knobs": "", "nll": total - kl, "kl": kl, "nll_plus_kl": total} | more


RUNS = pd.DataFrame(
    [
        run("b1", "language_model", "baseline", 0, 13.0),
        run("b2", "language_model", "baseline", 1, 13.4),
        run("v1", "vanilla", "trial", 0, 12.3),
        run("v2", "vanilla", "trial", 1, 12.3),
        run("t1", "cyclical", "trial", 0, 12.9, knobs="cycles=2"),
        run("t2", "cyclical", "trial", 0, 15.0, knobs="cycles=3"),
        run("r1", "cyclical", "replicate", 1, 13.0, knobs="cycles=2"),
        run("r2", "cyclical", "replicate", 2, 13.1, knobs="cycles=2"),
        run("d1", "dilated", "trial", 0, math.nan, knobs="dilation=M", decoder="dilated-M"),
    ]
)


def table() -> pd.DataFrame:
    flat = {str(name): np.zeros(3) for name in RUNS["trial_id"]}
    return configurations(RUNS, flat)


def gains(losses: dict[str, np.ndarray]) -> dict[tuple[str, str], tuple[float, float]]:
    found = with_iw_gain(table(), RUNS, losses)
    return {(row.variant, row.knobs): (row.iw_gain, row.iw_gain_se) for row in found.itertuples()}


def test_by_hand() -> None:
    gain, error = gains(LOSSES)["vanilla", ""]
    assert gain == pytest.approx(13.2 - 12.125)
    # d = 1.2, 0.7, 1.2, 1.2: variance 0.0625 over 4 sentences; seeds: 0.08 / 2 and 0.
    assert error == pytest.approx(math.sqrt(0.0625 / 4 + 0.04))


def test_a_difference_is_on_the_sentences_that_all_its_runs_have() -> None:
    """A baseline that was looked at on two sentences more is compared on the four."""
    some = {name: np.append(values, [np.nan, np.nan]) for name, values in LOSSES.items()}
    more = {**some, "b1": np.append(LOSSES["b1"], [99.0, 99.0])}
    assert gains(more)["vanilla", ""] == pytest.approx(gains(LOSSES)["vanilla", ""])


@pytest.mark.parametrize(
    ("sentence_sd", "seed_sd", "gain", "verdict", "short"),
    [
        (1.0, 0.01, 0.5, Verdict.BEATS, False),
        (4.0, 0.01, 0.5, Verdict.UNDECIDED, True),
        (4.0, 0.5, 0.5, Verdict.UNDECIDED, False),  # more sentences would not decide it
        (4.0, 0.01, 0.0, Verdict.UNDECIDED, False),
    ],
)
def test_where_more_sentences_would_decide(
    sentence_sd: float, seed_sd: float, gain: float, verdict: Verdict, short: bool
) -> None:
    """Three seeds a side at −1, 0 and 1 times `seed_sd`, whose means differ by `gain` on 100 sentences that
    vary by `sentence_sd`; and a beta that was not examined."""
    kinds = [("b", "language_model", "baseline", ""), ("r", "cyclical", "replicate", "cycles=2")]
    kinds.append(("x", "beta", "replicate", "beta=0.5"))
    rows = [
        run(f"{name}{seed}", variant, kind, seed, 13.0, knobs=knobs)
        for name, variant, kind, knobs in kinds
        for seed in range(3)
    ]
    noise_N = np.resize([1.0, -1.0], 100) * sentence_sd
    losses = {
        f"{name}{seed}": 13.0 + (seed - 1) * seed_sd + (noise_N - gain) * (name == "r")
        for name in ("b", "r")
        for seed in range(3)
    }
    runs = pd.DataFrame(rows)
    table = with_iw_gain(
        configurations(runs, {str(name): np.zeros(3) for name in runs["trial_id"]}), runs, losses
    )
    row = table.set_index("variant").loc["cyclical"]
    assert (row["iw_gain"], row["iw_gain_verdict"]) == (pytest.approx(gain), verdict)
    assert bool(row["iw_short_of_sentences"]) == short
    examined = {"b0", "b1", "b2", "r0", "r1", "r2"}
    assert short_of_sentences(table, runs) == (examined if short else set())


def test_where_it_is_not_known() -> None:
    found = gains(LOSSES)
    assert found["language_model", ""] == (0.0, pytest.approx(math.nan, nan_ok=True))
    for key in (("cyclical", "cycles=2"), ("cyclical", "cycles=3"), ("dilated", "dilation=M")):
        assert np.isnan(found[key]).all()
    without = gains({name: values for name, values in LOSSES.items() if name != "b2"})
    assert np.isnan([value for pair in without.values() for value in pair]).all()


def test_a_failed_run_leaves_no_gain() -> None:
    """As for NLL + KL: a mean over what did not fail would flatter."""
    runs = pd.concat([RUNS, pd.DataFrame([run("v3", "vanilla", "trial", 2, math.nan)])])
    flat = {str(name): np.zeros(3) for name in runs["trial_id"]}
    found = with_iw_gain(configurations(runs, flat), runs, LOSSES).set_index("variant")
    assert np.isnan(found.loc["vanilla", ["iw_gain", "iw_gain_se"]].astype(float)).all()


def test_of_nothing() -> None:
    assert {"iw_gain", "iw_gain_se"} <= set(
        with_iw_gain(configurations(pd.DataFrame(), {}), pd.DataFrame(), {})
    )


def test_the_runs_of_a_configuration_are_those_of_its_figures() -> None:
    assert trials_of_configurations(RUNS) == {
        ("language_model", "lstm", ""): ["b1", "b2"],
        ("vanilla", "lstm", ""): ["v1", "v2"],
        ("cyclical", "lstm", "cycles=2"): ["r1", "r2"],  # the trial that was picked is no fair figure
        ("cyclical", "lstm", "cycles=3"): ["t2"],
    }


def test_who_is_examined_and_who_speaks() -> None:
    found = speakers(table(), RUNS)
    assert found == {"v1": True, "r1": True, "v2": False, "b1": False, "b2": False, "r2": False}
    assert [speaks for speaks in found.values()] == sorted(found.values(), reverse=True)


def test_what_takes_longest_is_examined_first() -> None:
    """Who speaks, and then whatever uses its latent variable most."""
    runs = RUNS.copy()
    runs.loc[runs["trial_id"] == "r2", "kl"] = 3.0
    assert list(speakers(table(), runs))[2:] == ["r2", "v2", "b1", "b2"]
    runs.loc[runs["trial_id"] == "r2", "kl"] = 0.5
    assert list(speakers(table(), runs))[2:] == ["v2", "r2", "b1", "b2"]


def test_nobody_is_examined_where_nothing_has_finished() -> None:
    assert speakers(configurations(pd.DataFrame(), {}), pd.DataFrame()) == {}
    failed = RUNS[RUNS["trial_id"] == "d1"]
    assert speakers(configurations(failed, {}), failed) == {}
