"""The test of a difference: by hand, against closed forms, and its size under the null by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from orchestrator.analysis.paired_test import Difference, Noise, holm, paired_test


def test_by_hand() -> None:
    """Run means 1, 3 against 0, 1; differences of the sentences' means 2, 1, so their mean is 1.5.

    Sentences: var(2, 1) / 2 = 0.25 with 1 degree of freedom. Seeds: 2 / 2 = 1 and 0.5 / 2 = 0.25, 1 each.
    With one degree of freedom in all three p is Cauchy's.
    """
    found = paired_test([[1.0, 1.0], [3.0, 3.0]], [[-0.5, 0.5], [0.5, 1.5]])
    assert found.value == pytest.approx(1.5)
    assert [(source.variance, source.df) for source in found.noise] == [(0.25, 1), (1.0, 1), (0.25, 1)]
    assert found.se == pytest.approx(math.sqrt(1.5))
    assert found.p == pytest.approx(1 - 2 / math.pi * math.atan(1.5 / math.sqrt(1.5)))


def test_the_interval_adds_the_squares_of_the_sources_own_intervals() -> None:
    found = Difference(1.0, [Noise(0.04, 2), Noise(0.09), Noise(0.0, 5)])
    t, z = stats.t.isf(0.025, 2), stats.norm.isf(0.025)
    assert found.half_width(0.05) == pytest.approx(math.sqrt(0.04 * t**2 + 0.09 * z**2))
    assert found.half_width(found.p) == pytest.approx(1.0)


def test_of_a_single_source_it_is_students_test() -> None:
    rng = np.random.default_rng(1)
    one, two = rng.normal(0, 1, 30), rng.normal(0.5, 1, 30)
    found, paired = paired_test([one, one], [two, two]), stats.ttest_rel(one, two)
    assert (found.value / found.se, found.p) == pytest.approx((paired.statistic, paired.pvalue))


def test_between_seeds_it_is_never_surer_than_welch() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, two = rng.normal(0, 1, 4), rng.normal(2.0, 3, 6)
        found = paired_test(*([np.full(10, value) for value in side] for side in (one, two)))
        welch = stats.ttest_ind(one, two, equal_var=False)
        assert found.value / found.se == pytest.approx(welch.statistic)
        assert found.p >= welch.pvalue


def test_it_is_antisymmetric() -> None:
    rng = np.random.default_rng(2)
    one, two = rng.normal(0, 1, (3, 20)), rng.normal(0.5, 1, (2, 20))
    forth, back = paired_test(list(one), list(two)), paired_test(list(two), list(one))
    assert (back.value, back.p) == pytest.approx((-forth.value, forth.p))


def test_a_difference_beyond_all_noise_has_the_least_p_there_is() -> None:
    assert Difference(1e6, [Noise(1e-6)]).p == 1e-300
    assert math.isnan(Difference(1.0, [Noise(math.nan)]).p)
    assert math.isnan(Difference(1.0, [Noise(math.nan)]).half_width(0.05))


def test_no_noise_at_all_is_no_test() -> None:
    found = paired_test([[1.0, 2.0]] * 2, [[1.0, 2.0]] * 2)
    assert (found.value, found.se) == (0.0, 0.0)
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
        tested = paired_test(list(loss_SRN[0]), list(loss_SRN[1]))
        found += abs(tested.value) > tested.half_width(0.05)
    return found / repeats


@pytest.mark.parametrize(
    ("seed_noise", "interaction", "runs"),
    [(0.3, 0.2, 2), (0.1, 0.0, 2), (0.3, 0.2, 3), (0.3, 0.0, 3), (0.02, 0.1, 3), (0.3, 0.2, 6)],
)
def test_a_true_null_is_rejected_at_most_as_often_as_it_says(
    seed_noise: float, interaction: float, runs: int
) -> None:
    """4 standard errors of 1000 repeats are 2.8 %."""
    assert rejections(seed_noise, interaction, runs=runs, repeats=1000) < 0.078


def test_holm_by_hand() -> None:
    """Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, never falling."""
    adjusted = holm([0.04, 0.01, math.nan, 0.03, 0.02])
    np.testing.assert_allclose(adjusted, [0.06, 0.04, math.nan, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1.0, 1.0])
    assert holm([]).tolist() == []
