import pytest
import torch

from trainables.parts import KnobError
from trainables.rates import Rate
from trainables.schedules import Annealed, Constant, Progress

START = Progress(0, 10, 5)
KL_BG = torch.tensor([[0.0, 2.0, 0.5], [0.2, 4.0, 0.7]])  # batch means 0.1, 3.0, 0.6; sum 3.7


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (Rate(), 3.7),
        (Rate(schedule=Constant(beta=0.5)), 1.85),
        (Rate(free_bits=1.0), 1.0 + 3.0 + 1.0),
        (Rate(free_bits=0.3), 0.3 + 3.0 + 0.6),
        (Rate(free_bits=0.65), 0.65 + 3.0 + 0.65),  # the floor is of the batch mean, not of each sentence
        (Rate(kl_target=5.0), 1.3),
        (Rate(kl_target=3.0), 0.7),
        (Rate(kl_target=10.0, free_bits=1.0, schedule=Constant(beta=2.0)), 2 * 5.0),
    ],
)
def test_one_formula_by_hand(rate: Rate, expected: float) -> None:
    assert float(rate(KL_BG, START)) == pytest.approx(expected, rel=1e-6)


def test_the_weight_follows_progress() -> None:
    rate = Rate(schedule=Annealed(anneal_rate=0.25))
    values = [float(rate(KL_BG, Progress(step, 10, 5))) for step in (0, 10, 25, 40, 50)]
    assert values == pytest.approx([0, 0.25 * 3.7, 0.625 * 3.7, 3.7, 3.7], rel=1e-6)


def test_free_bits_take_the_pressure_off_groups_below_the_floor() -> None:
    kl_BG = KL_BG.clone().requires_grad_()
    Rate(free_bits=0.3, schedule=Constant(beta=3.0))(kl_BG, START).backward()
    assert kl_BG.grad is not None
    assert kl_BG.grad.tolist() == [[0.0, 1.5, 1.5], [0.0, 1.5, 1.5]]


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
