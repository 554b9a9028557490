import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.parts.part import KnobError
from trainables.parts.rates import Rate
from trainables.parts.schedules import Annealed, Constant, Progress

START = Progress(0, 10, 5)
KL_BG = torch.tensor([[0.0, 2.0, 0.5], [0.2, 4.0, 0.7]])  # batch means 0.1, 3.0, 0.6; sum 3.7


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (Rate(), 3.7),
        (Rate(schedule=Constant(beta=0.5)), 1.85),
        (Rate(free_bits=3.0), 1.0 + 3.0 + 1.0),  # a third of λ for each of three groups
        (Rate(free_bits=0.9), 0.3 + 3.0 + 0.6),
        (Rate(free_bits=1.95), 0.65 + 3.0 + 0.65),  # the floor is of the batch mean, not of each sentence
        (Rate(free_bits=1.95, free_bits_of="sentence"), 0.65 + 3.0 + (0.65 + 0.7) / 2),
        (Rate(free_bits=0.3, free_bits_of="sentence"), 0.15 + 3.0 + 0.6),
        (Rate(free_bits=12.0, free_bits_of="sentence"), 4.0 * 3),
        (Rate(free_bits=12.0), 4.0 * 3),
        (Rate(kl_target=5.0), 1.3),
        (Rate(kl_target=3.0), 0.7),
        (Rate(kl_target=10.0, free_bits=3.0, schedule=Constant(beta=2.0)), 2 * 5.0),
    ],
)
def test_one_formula_by_hand(rate: Rate, expected: float) -> None:
    assert float(rate(KL_BG, START)) == pytest.approx(expected, rel=1e-6)


def test_the_weight_follows_progress() -> None:
    rate = Rate(schedule=Annealed(anneal_rate=0.25))
    values = [float(rate(KL_BG, Progress(step, 10, 5))) for step in (0, 10, 25, 40, 50)]
    assert values == pytest.approx([0, 0.25 * 3.7, 0.625 * 3.7, 3.7, 3.7], rel=1e-6)


@pytest.mark.parametrize(
    ("of", "free_bits", "expected"),
    [
        ("batch", 0.9, [[0.0, 1.5, 1.5], [0.0, 1.5, 1.5]]),
        ("sentence", 0.45, [[0.0, 1.5, 1.5], [1.5, 1.5, 1.5]]),
        ("sentence", 1.8, [[0.0, 1.5, 0.0], [0.0, 1.5, 1.5]]),
    ],
)
def test_free_bits_take_the_pressure_off_what_is_below_the_floor(
    of: str, free_bits: float, expected: list[list[float]]
) -> None:
    kl_BG = KL_BG.clone().requires_grad_()
    Rate(free_bits=free_bits, free_bits_of=of, schedule=Constant(beta=3.0))(kl_BG, START).backward()
    assert kl_BG.grad is not None
    assert kl_BG.grad.tolist() == expected


def test_the_mask_of_li_et_al_has_the_same_gradient() -> None:
    torch.manual_seed(5)
    kl_BG = torch.rand(40, 6).mul(2).requires_grad_()
    masked = ((kl_BG > 0.7) * kl_BG).sum(1).mean()  # the mask stops nothing but what is below the floor
    (expected,) = torch.autograd.grad(0.4 * masked, kl_BG)
    rate = Rate(free_bits=6 * 0.7, free_bits_of="sentence", schedule=Constant(beta=0.4))(kl_BG, START)
    (actual,) = torch.autograd.grad(rate, kl_BG)
    assert torch.equal(actual, expected)
    assert 0 < int((actual == 0).sum()) < 240
    below = ((kl_BG <= 0.7) * 0.7).sum(1).mean()  # the values differ by what is constant
    assert rate.item() == pytest.approx(0.4 * (masked + below).item(), rel=1e-5)


@given(
    st.integers(1, 5).flatmap(
        lambda groups: st.lists(
            st.lists(st.floats(0, 20, width=32), min_size=groups, max_size=groups), min_size=1, max_size=6
        )
    ),
    st.floats(0, 30),
)
def test_free_bits_bound_the_rate_from_below(kl: list[list[float]], free_bits: float) -> None:
    kl_BG = torch.tensor(kl, dtype=torch.float64)
    batch, sentence = (
        Rate(free_bits=free_bits, free_bits_of=of)(kl_BG, START).item() for of in ("batch", "sentence")
    )
    whole = kl_BG.sum(1).mean().item()
    assert max(free_bits, whole) <= batch * (1 + 1e-9) + 1e-9
    assert batch <= sentence * (1 + 1e-9) + 1e-9  # the mean of maxima is no less than the maximum of means
    assert batch <= free_bits + whole + 1e-9


def test_other_forms_of_free_bits_are_refused() -> None:
    with pytest.raises(KnobError, match="free_bits_of must be one of batch, sentence, got 'word'"):
        Rate(free_bits_of="word")


def test_which_rate_is_the_elbo() -> None:
    assert Rate().is_elbo
    assert Rate(schedule=Constant(beta=1.0)).is_elbo
    for other in (
        Rate(schedule=Constant(beta=0.9)),
        Rate(schedule=Annealed()),
        Rate(free_bits=0.1),
        Rate(kl_target=0.1),
    ):
        assert not other.is_elbo


@pytest.mark.parametrize(("target", "sign"), [(5.0, -1.0), (1.0, 1.0)])
def test_a_target_pulls_the_kl_towards_it(target: float, sign: float) -> None:
    kl_BG = KL_BG.clone().requires_grad_()
    Rate(kl_target=target)(kl_BG, START).backward()
    assert kl_BG.grad is not None
    assert torch.equal(kl_BG.grad, torch.full_like(kl_BG, 0.5 * sign))


@pytest.mark.parametrize("knob", ["kl_target", "free_bits"])
def test_negative_nats_are_refused(knob: str) -> None:
    with pytest.raises(KnobError, match=f"{knob} must be >= 0, got -1.0"):
        Rate(**{knob: -1.0})
