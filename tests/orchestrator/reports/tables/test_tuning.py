from __future__ import annotations

from typing import Any

import pytest

from orchestrator.reports.tables.tuning import tuning
from orchestrator.search.trial_plan import TrialPlan

LSTM: dict[str, Any] = {"decoder": "lstm"}
DILATED: dict[str, Any] = {"decoder": "dilated", "dilation": "M"}


def tried(variant: str, knobs: dict[str, Any], **searched: float) -> TrialPlan:
    return TrialPlan(variant, "trial", {**knobs, **searched}, 0, tuple(searched))


BASELINE = TrialPlan("language_model", "baseline", LSTM, 1)
REMEDY = tried("cyclical", {}, ramp_share=0.5)
FASTER = tried("cyclical", {}, ramp_share=0.5, learning_rate=0.01, dropout=0.1)


@pytest.mark.parametrize(
    ("plans", "told"),
    [
        ([], []),
        ([BASELINE, REMEDY], ["no knob that the remedies share with their baselines was searched"]),
        (
            [BASELINE, REMEDY, FASTER],
            [
                "dropout, learning_rate of cyclical were searched, of its baseline were not: some of its gain"
                " may be that"
            ],
        ),
        (
            [*(tried("language_model", knobs, dropout=0.1) for knobs in (LSTM, LSTM, DILATED)), FASTER],
            [
                "dropout of the baselines was searched as well, in 3 trials for 2 decoders; their figures are"
                " on fresh seeds",
                "learning_rate of cyclical was searched, of its baseline was not: some of its gain"
                " may be that",
            ],
        ),
    ],
)
def test_what_is_said_of_the_tuning_of_the_baselines(plans: list[TrialPlan], told: list[str]) -> None:
    assert tuning(plans) == told
