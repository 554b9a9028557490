import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trainables.parts.part import KnobError
from trainables.parts.schedules import Annealed, Balanced, Constant, Cyclical, Progress, Schedule

STEPS = st.integers(1, 500)
EPOCHS = st.integers(1, 60)
ANNEALED = st.builds(
    Annealed,
    anneal_shape=st.sampled_from(("linear", "logistic")),
    anneal_rate=st.floats(1e-4, 1e3),
    anneal_delay=st.floats(0, 100),
    kl_start=st.floats(0, 1),
)
CYCLICAL = st.builds(Cyclical, cycles=st.integers(1, 40), ramp_share=st.floats(0.01, 1))


def at(schedule: Schedule, step: int, steps_per_epoch: int = 4, epochs: int = 10) -> float:
    return schedule(Progress(step, steps_per_epoch, epochs))


def test_progress() -> None:
    progress = Progress(step=9, steps_per_epoch=6, epochs=5)
    assert (progress.epoch, progress.total_steps) == (1.5, 30)


@pytest.mark.parametrize("beta", [0.0, 0.25, 1.0, 4.0])
def test_a_constant_weight_stays(beta: float) -> None:
    assert {at(Constant(beta=beta), step) for step in (0, 1, 7, 40)} == {beta}


@pytest.mark.parametrize(
    ("step", "weight"),
    # 0.1 for one epoch of 4 steps, then 0.3 an epoch: 0.075 a step, 1 after 1 + 0.9 / 0.3 = 4 epochs.
    [
        (0, 0.1),
        (3, 0.1),
        (4, 0.1),
        (5, 0.175),
        (6, 0.25),
        (8, 0.4),
        (12, 0.7),
        (15, 0.925),
        (16, 1.0),
        (40, 1.0),
    ],
)
def test_linear_by_hand(step: int, weight: float) -> None:
    schedule = Annealed(anneal_rate=0.3, anneal_delay=1.0, kl_start=0.1)
    assert at(schedule, step) == pytest.approx(weight, abs=1e-12)


@pytest.mark.parametrize(
    ("step", "weight"),
    # The ramp runs from epoch 1 to epoch 3, its midpoint is epoch 2; logistic of -4, -2, -1, 0, 1, 2.
    [
        (0, 0.0179862100),
        (4, 0.1192029220),
        (6, 0.2689414214),
        (8, 0.5),
        (10, 0.7310585786),
        (12, 0.8807970780),
    ],
)
def test_logistic_by_hand(step: int, weight: float) -> None:
    schedule = Annealed(anneal_shape="logistic", anneal_rate=0.5, anneal_delay=1.0)
    assert at(schedule, step) == pytest.approx(weight, abs=1e-9)
    halfway = Annealed(anneal_shape="logistic", anneal_rate=0.25, anneal_delay=1.0, kl_start=0.5)
    assert at(halfway, step) == pytest.approx(0.5 + 0.5 * weight, abs=1e-9)


def test_logistic_has_the_curve_of_bowman() -> None:
    slope, midpoint, steps_per_epoch = 0.0025, 2500, 300
    rate = slope / 4 * steps_per_epoch  # a logistic curve is steepest at its midpoint: a quarter of k
    delay = midpoint / steps_per_epoch - 0.5 / rate
    schedule = Annealed(anneal_shape="logistic", anneal_rate=rate, anneal_delay=delay)
    for step in (0, 100, 1700, 2499, 2500, 3300, 9000):
        expected = 1 / (1 + math.exp(-slope * (step - midpoint)))
        assert at(schedule, step, steps_per_epoch, 30) == pytest.approx(expected, rel=1e-9)


@given(st.floats(0.01, 20), st.floats(0, 5), st.floats(0, 0.99))
def test_the_logistic_tangent_at_the_midpoint_is_the_rate(rate: float, delay: float, start: float) -> None:
    schedule = Annealed(anneal_shape="logistic", anneal_rate=rate, anneal_delay=delay, kl_start=start)
    steps_per_epoch = 10**9
    middle = round((delay + 0.5 * (1 - start) / rate) * steps_per_epoch)
    h = max(10, round(1e-4 * (1 - start) / rate * steps_per_epoch))
    low, centre, high = (at(schedule, middle + d, steps_per_epoch) for d in (-h, 0, h))
    assert centre == pytest.approx((start + 1) / 2, abs=1e-6)
    assert (high - low) / (2 * h / steps_per_epoch) == pytest.approx(rate, rel=1e-4)


@given(ANNEALED, STEPS, EPOCHS)
def test_annealing_rises_from_kl_start_to_at_most_one(
    schedule: Annealed, steps_per_epoch: int, epochs: int
) -> None:
    total = steps_per_epoch * epochs
    steps = sorted({0, 1, total // 3, total // 2, max(0, total - 1), total})
    weights = [at(schedule, step, steps_per_epoch, epochs) for step in steps]
    assert all(schedule.kl_start <= weight <= 1 for weight in weights)
    assert weights == sorted(weights)


@given(st.floats(0.01, 50), st.floats(0, 20), st.floats(0, 0.999), STEPS)
@example(rate=0.1, delay=0.0, start=0.1, steps_per_epoch=1)
def test_linear_reaches_one_exactly_when_it_should(
    rate: float, delay: float, start: float, steps_per_epoch: int
) -> None:
    schedule = Annealed(anneal_rate=rate, anneal_delay=delay, kl_start=start)
    end = (Fraction(delay) + (1 - Fraction(start)) / Fraction(rate)) * steps_per_epoch
    after, before = math.ceil(end * (1 + Fraction(1, 10**9))), math.floor(end * (1 - Fraction(1, 10**9))) - 1
    assert at(schedule, after, steps_per_epoch) == 1.0
    if before >= 0:
        assert at(schedule, before, steps_per_epoch) < 1.0
    last_flat = math.floor(Fraction(delay) * steps_per_epoch * (1 - Fraction(1, 10**9)))
    assert at(schedule, last_flat, steps_per_epoch) == pytest.approx(start, abs=1e-12)


@pytest.mark.parametrize("shape", ["linear", "logistic"])
def test_a_warm_up_longer_than_training_ends_below_one(shape: str) -> None:
    schedule = Annealed(anneal_shape=shape, anneal_rate=0.05, kl_start=0.1)
    end = at(schedule, 40)  # 10 of 18 epochs: way 5/9 of the ramp
    expected = 0.6 if shape == "linear" else 0.1 + 0.9 / (1 + math.exp(2 - 4 * 5 / 9))
    assert end == pytest.approx(expected, abs=1e-12)


def test_kl_start_one_is_no_annealing() -> None:
    for shape in Annealed.shapes:
        schedule = Annealed(anneal_shape=shape, anneal_delay=3.0, kl_start=1.0)
        assert {at(schedule, step) for step in (0, 5, 40)} == {1.0}


@pytest.mark.parametrize(
    ("step", "weight"),
    # Two cycles of 20 steps, the ramp takes 10 of them.
    [(0, 0), (1, 0.1), (5, 0.5), (9, 0.9), (10, 1), (19, 1), (20, 0), (23, 0.3), (30, 1), (39, 1)],
)
def test_cyclical_by_hand(step: int, weight: float) -> None:
    assert at(Cyclical(cycles=2, ramp_share=0.5), step) == pytest.approx(weight, abs=1e-12)


def fu(step: int, total: int, cycles: int, ramp_share: float) -> Fraction:
    """Fu et al. 2019, equations 4 and 5, in exact arithmetic and with a fractional cycle length."""
    length = Fraction(total, cycles)
    tau = (step - (Fraction(step) // length) * length) / length
    return min(Fraction(1), tau / Fraction(ramp_share))


@given(CYCLICAL, STEPS, st.integers(1, 20), st.data())
def test_cyclical_is_exact(
    schedule: Cyclical, steps_per_epoch: int, epochs: int, data: st.DataObject
) -> None:
    total = steps_per_epoch * epochs
    step = data.draw(st.integers(0, total - 1))
    expected = fu(step, total, schedule.cycles, schedule.ramp_share)
    assert at(schedule, step, steps_per_epoch, epochs) == pytest.approx(float(expected), rel=1e-14)


@pytest.mark.parametrize(
    ("total", "cycles", "ramp_share"), [(103, 4, 0.5), (7, 3, 1.0), (50, 1, 0.5), (31, 1, 1.0), (3, 10, 0.3)]
)
def test_cyclical_over_a_whole_training(total: int, cycles: int, ramp_share: float) -> None:
    schedule = Cyclical(cycles=cycles, ramp_share=ramp_share)
    for step in range(total):
        expected = fu(step, total, cycles, ramp_share)
        assert at(schedule, step, total, 1) == pytest.approx(float(expected), rel=1e-14)


@given(CYCLICAL, STEPS)
def test_every_cycle_starts_low(schedule: Cyclical, total: int) -> None:
    # The first whole step of a cycle is less than one step into it, so its weight is below M / (T R).
    for cycle in range(schedule.cycles):
        first = math.ceil(Fraction(total * cycle, schedule.cycles))
        if first < total:
            assert at(schedule, first, total, 1) <= schedule.cycles / (total * schedule.ramp_share) + 1e-12


@given(st.integers(1, 7), st.floats(0.01, 1), STEPS, st.integers(1, 20))
def test_every_cycle_has_the_same_weights_where_it_divides(
    cycles: int, ramp_share: float, steps_per_cycle: int, epochs: int
) -> None:
    total = cycles * steps_per_cycle * epochs
    schedule, one = Cyclical(cycles=cycles, ramp_share=ramp_share), Cyclical(cycles=1, ramp_share=ramp_share)
    length = total // cycles
    for step in {0, 1 % length, length // 3, length // 2, length - 1}:
        weights = {at(schedule, cycle * length + step, total, 1) for cycle in range(cycles)}
        assert weights == {at(one, step, length, 1)}


@given(st.floats(0.01, 1), STEPS, EPOCHS, st.data())
def test_one_cycle_is_a_linear_ramp(
    ramp_share: float, steps_per_epoch: int, epochs: int, data: st.DataObject
) -> None:
    step = data.draw(st.integers(0, steps_per_epoch * epochs - 1))
    ramp = Annealed(anneal_rate=1 / (ramp_share * epochs))
    expected = at(ramp, step, steps_per_epoch, epochs)
    actual = at(Cyclical(cycles=1, ramp_share=ramp_share), step, steps_per_epoch, epochs)
    assert actual == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(st.integers(1, 40), st.integers(1, 3000))
def test_a_ramp_of_the_whole_cycle_never_quite_reaches_one(cycles: int, total: int) -> None:
    schedule = Cyclical(cycles=cycles, ramp_share=1.0)
    weights = [at(schedule, step, total, 1) for step in range(total)]
    assert weights == [step * cycles % total / total for step in range(total)]
    assert max(weights) < 1
    falls = sum(after < before for before, after in itertools.pairwise(weights))
    if total % cycles == 0 and total > cycles:
        assert falls == cycles - 1  # it starts anew that often
    assert falls <= cycles - 1


@given(ANNEALED, STEPS, EPOCHS)
def test_linear_is_exact_for_every_length(schedule: Annealed, steps_per_epoch: int, epochs: int) -> None:
    total = steps_per_epoch * epochs
    linear = Annealed(
        anneal_rate=schedule.anneal_rate, anneal_delay=schedule.anneal_delay, kl_start=schedule.kl_start
    )
    rate, delay, start = (
        Fraction(value) for value in (linear.anneal_rate, linear.anneal_delay, linear.kl_start)
    )
    for step in {0, total // 2, total - 1}:
        ramped = max(Fraction(0), Fraction(step, steps_per_epoch) - delay) * rate
        expected = min(Fraction(1), start + ramped)
        assert at(linear, step, steps_per_epoch, epochs) == pytest.approx(float(expected), rel=1e-9)


@given(st.floats(0, 4), st.floats(0, 1.5), STEPS, EPOCHS, st.data())
def test_a_balanced_weight_is_beta_times_the_share(
    beta: float, share: float, steps_per_epoch: int, epochs: int, data: st.DataObject
) -> None:
    step = data.draw(st.integers(0, steps_per_epoch * epochs))
    progress = Progress(step, steps_per_epoch, epochs, share)
    assert Balanced(beta=beta)(progress) == beta * share
    assert Constant(beta=beta)(progress) == beta
    assert Balanced(beta=beta)(Progress(step, steps_per_epoch, epochs)) == beta


def test_which_schedules_follow_the_nll() -> None:
    following = {name for name, kind in Schedule.alternatives.items() if kind.follows_nll}
    assert following == {"balanced"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(beta=-0.1), "beta must be >= 0, got -0.1"),
        (lambda: Balanced(beta=-0.1), "beta must be >= 0, got -0.1"),
        (
            lambda: Annealed(anneal_shape="cosine"),
            "anneal_shape must be one of linear, logistic, got 'cosine'",
        ),
        (lambda: Annealed(anneal_rate=0.0), "anneal_rate must be > 0, got 0.0"),
        (lambda: Annealed(anneal_rate=math.nan), "anneal_rate must be > 0, got nan"),
        (lambda: Annealed(anneal_delay=-1.0), "anneal_delay must be >= 0, got -1.0"),
        (lambda: Annealed(kl_start=1.5), r"kl_start must be in \[0, 1\], got 1.5"),
        (lambda: Cyclical(cycles=0), "cycles must be >= 1, got 0"),
        (lambda: Cyclical(ramp_share=0.0), r"ramp_share must be in \(0, 1\], got 0.0"),
    ],
)
def test_values_out_of_range_are_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(KnobError, match=message):
        make()
