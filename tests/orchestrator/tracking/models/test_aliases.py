from __future__ import annotations

import math

import pandas as pd
import pytest

from orchestrator.tracking.models.aliases import is_ours, model_aliases


def table(*rows: tuple[str, float, float]) -> pd.DataFrame:
    """Trial id, NLL, KL."""
    frame = pd.DataFrame(rows, columns=["trial_id", "nll", "kl"])
    return frame.assign(nll_plus_kl=frame["nll"] + frame["kl"])


def test_the_best_of_all_and_at_each_whole_rate() -> None:
    models = table(
        ("a", 30.0, 0.2),  # 30.2
        ("b", 28.0, 1.4),  # 29.4: at 1
        ("c", 27.0, 1.6),  # 28.6
        ("d", 26.0, 2.4),  # 28.4: at 2, and the best
        ("e", 24.0, 5.0),  # 29.0: at 5
        ("f", 23.9, 5.4),  # 29.3
    )
    expected = {"best-elbo": "d", "best-at-kl-1": "b", "best-at-kl-2": "d", "best-at-kl-5": "e"}
    assert model_aliases(models) == expected
    assert list(model_aliases(models)) == list(expected)
    assert model_aliases(models.sample(frac=1, random_state=3)) == expected


def test_halves_are_rounded_up() -> None:
    models = table(("a", 10.0, 0.49), ("b", 10.0, 0.5), ("c", 10.0, 1.5), ("d", 10.0, 2.5))
    assert model_aliases(models) == {
        "best-elbo": "a",
        "best-at-kl-1": "b",
        "best-at-kl-2": "c",
        "best-at-kl-3": "d",
    }


def test_of_equal_models_the_first() -> None:
    models = table(("b", 10.0, 1.0), ("a", 9.75, 1.25))
    assert model_aliases(models) == {"best-elbo": "b", "best-at-kl-1": "b"}


def test_no_model_and_none_that_is_finite() -> None:
    assert model_aliases(table()) == {}
    assert model_aliases(table(("a", math.nan, 1.0), ("b", math.inf, 2.0))) == {}


@pytest.mark.parametrize(
    ("alias", "ours"),
    [("best-elbo", True), ("best-at-kl-12", True), ("best", False), ("best-at-kl-", False),
     ("best-at-kl-1x", False), ("champion", False), ("my-best-elbo", False)],
)  # fmt: skip
def test_own_aliases_are_told_from_the_users(alias: str, ours: bool) -> None:
    assert is_ours(alias) is ours
