"""The test of a difference: by hand, against closed forms, and its size under the null by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from orchestrator.analysis.sweeps.paired_test import holm, paired_test


def test_by_hand() -> None:
    """Run means 1, 3 against 0, 1; differences of the sentences' means 2, 1, so their mean is 1.5.

    Sentences: var(2, 1) / 2 = 0.25 with 1 degree of freedom. Seeds: 2 / 2 = 1 and 0.5 / 2 = 0.25, 1 each.
    """
    found = paired_test([[1.0, 1.0], [3.0, 3.0]], [[-0.5, 0.5], [0.5, 1.5]])
    assert found.difference == pytest.approx(1.5)
    assert found.se == pytest.approx(math.sqrt(1.5))
    assert found.df == pytest.approx(1.5**2 / (0.25**2 + 1.0 + 0.25**2))  # = 2
    assert found.df == pytest.approx(2.0)
    assert found.t == pytest.approx(math.sqrt(1.5))
    closed = 1.0 - found.t / math.sqrt(2 + found.t**2)  # Student's t with 2 degrees of freedom
    assert found.p == pytest.approx(closed)


def test_without_noise_between_sentences_it_is_welch() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.normal(0, 1, 4), rng.normal(0.5, 3, 6)
    found = paired_test(*([np.full(10, value) for value in side] for side in (one, two)))
    welch = stats.ttest_ind(one, two, equal_var=False)
    assert (found.t, found.p, found.df) == pytest.approx((welch.statistic, welch.pvalue, welch.df))


def test_without_noise_between_seeds_it_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(1)
    one, two = rng.normal(0, 1, 30), rng.normal(0.5, 1, 30)
    found, paired = paired_test([one, one], [two, two]), stats.ttest_rel(one, two)
    assert (found.t, found.p, found.df) == pytest.approx((paired.statistic, paired.pvalue, 29))


def test_it_is_antisymmetric() -> None:
    rng = np.random.default_rng(2)
    one, two = rng.normal(0, 1, (3, 20)), rng.normal(0.5, 1, (2, 20))
    forth, back = paired_test(list(one), list(two)), paired_test(list(two), list(one))
    assert (back.difference, back.p, back.df) == pytest.approx((-forth.difference, forth.p, forth.df))


def test_no_noise_at_all_is_no_test() -> None:
    found = paired_test([[1.0, 2.0]] * 2, [[1.0, 2.0]] * 2)
    assert (found.difference, found.se) == (0.0, 0.0)
    assert math.isnan(found.p)


@pytest.mark.parametrize("second", [[[1.0, 2.0]], [[1.0, 2.0, 3.0]] * 2])
def test_what_cannot_be_tested(second: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="two runs over the same sentences"):
        paired_test([[1.0, 2.0]] * 2, second)


def rejections(seed_noise: float, interaction: float, *, runs: int, repeats: int) -> float:
    """How often a true null is rejected at 5 %: sentences of very different length, seeds that shift a run,
    and a part of each sentence that changes with the seed."""
    rng = np.random.default_rng(20_240_607)
    found = 0
    for _ in range(repeats):
        sentence_N = rng.normal(0, 10, 60)
        loss_SRN = (
            sentence_N
            + rng.normal(0, 1, (2, 1, 60)) * 0.5  # what a configuration does to single sentences
            + rng.normal(0, seed_noise, (2, runs, 1))
            + rng.normal(0, interaction, (2, runs, 60))
        )
        found += paired_test(list(loss_SRN[0]), list(loss_SRN[1])).p < 0.05
    return found / repeats


@pytest.mark.parametrize(
    ("seed_noise", "interaction", "runs"), [(0.3, 0.2, 3), (0.3, 0.0, 3), (0.02, 0.1, 3), (0.3, 0.2, 6)]
)
def test_a_true_null_is_rejected_at_most_as_often_as_it_says(
    seed_noise: float, interaction: float, runs: int
) -> None:
    """4 standard errors of 2000 repeats are 2 %."""
    found = rejections(seed_noise, interaction, runs=runs, repeats=2000)
    assert 0.025 < found < 0.07


def test_holm_by_hand() -> None:
    """Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, never falling."""
    adjusted = holm([0.04, 0.01, math.nan, 0.03, 0.02])
    np.testing.assert_allclose(adjusted, [0.06, 0.04, math.nan, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1.0, 1.0])
    assert holm([]).tolist() == []
