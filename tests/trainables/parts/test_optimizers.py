import copy
import subprocess
import sys

import pytest
import torch

from tests.paths import ROOT
from trainables.parts.optimizers import SGD, Adam, DecayState, clip
from trainables.parts.part import KnobError


def timeline(optimizer: SGD | Adam, losses: list[float]) -> list[int]:
    """Decays after each epoch, until training ends."""
    state, decays = DecayState(), []
    for epoch, loss in enumerate(losses, 1):
        state = optimizer.after_epoch(state, epoch, loss)
        decays.append(state.decays)
        if optimizer.exhausted(state):
            break
    return decays


def test_decay_timeline_of_he_by_hand() -> None:
    # Better until epoch 3, then ever worse: a decay at 16 and every second epoch, the fifth ends it.
    decays = timeline(SGD(), [3.0, 2.0, 1.0, *(float(epoch) for epoch in range(4, 50))])
    assert decays == [0] * 15 + [1, 1, 2, 2, 3, 3, 4, 4, 5]


def test_after_a_decay_epochs_are_compared_with_its_loss_not_with_the_best() -> None:
    # The decay at epoch 3 has loss 6: 5 and 4 are better, 4.5 and 4.4 worse than 4, though all are above 1.
    assert timeline(SGD(decay_from=0), [1.0, 5.0, 6.0, 5.0, 4.0, 4.5, 4.4]) == [0, 0, 1, 1, 1, 1, 2]


def test_an_epoch_that_is_not_worse_starts_the_count_anew() -> None:
    optimizer = SGD(decay_patience=3, decay_from=0)
    assert timeline(optimizer, [3.0, 4.0, 4.0, 3.0, 4.0, 4.0, 4.0]) == [0, 0, 0, 0, 0, 0, 1]


def test_better_epochs_do_not_decay() -> None:
    assert timeline(SGD(decay_patience=1, decay_from=0), [30.0 - n for n in range(30)]) == [0] * 30


def test_the_rate_halves_with_each_decay() -> None:
    assert [SGD().scale(DecayState(decays=n)) for n in range(4)] == [1, 0.5, 0.25, 0.125]
    assert [SGD(decay_factor=0.1).scale(DecayState(decays=n)) for n in (0, 2)] == pytest.approx([1, 0.01])


def test_adam_keeps_its_rate_for_ever() -> None:
    state = DecayState()
    for epoch in range(1, 60):
        state = Adam().after_epoch(state, epoch, float(epoch))
    assert (Adam().scale(state), Adam().exhausted(state)) == (1.0, False)


def test_a_patient_adam_lowers_its_rate_where_nothing_improves_and_gives_up() -> None:
    """Better by less than a ten-thousandth is not better. Its control begins with the planned length."""
    optimizer = Adam().patient(5)
    decays = timeline(optimizer, [3.0, 4.0, 4.0, 4.0, 4.0, 2.0, *[1.9999] * 40])
    # epoch 6 is better, 7 to 11 are not by enough, nor 12 to 16 than 11, nor 17 to 21 than 16
    assert decays == [0] * 10 + [1] * 5 + [2] * 5 + [3]
    assert [optimizer.scale(DecayState(decays=n)) for n in range(3)] == pytest.approx([1.0, 0.3, 0.09])


def test_patience_keeps_what_the_optimizer_says_itself() -> None:
    found = [SGD().patient(epochs) for epochs in (5, 40)]
    assert [(optimizer.max_decays, optimizer.decay_from) for optimizer in found] == [(5, 15), (5, 40)]
    own = Adam(max_decays=1, decay_patience=2)
    assert own.patient(7) == Adam(max_decays=1, decay_patience=2, decay_from=7)


def test_an_sgd_step_by_hand() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = SGD(learning_rate=0.5).build([weight])
    for _ in range(2):
        weight.grad = torch.tensor([1.0, 4.0])
        optimizer.step()
    assert weight.tolist() == [0.0, -6.0]


def test_adam_steps_by_hand() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = Adam(learning_rate=0.01).build([weight])
    expected, first, second = [1.0, -2.0], [0.0, 0.0], [0.0, 0.0]
    for step, gradient in enumerate(([1.0, -3.0], [-2.0, 0.5], [0.1, 7.0]), 1):
        weight.grad = torch.tensor(gradient)
        optimizer.step()
        for i, g in enumerate(gradient):
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g * g
            mean, square = first[i] / (1 - 0.9**step), second[i] / (1 - 0.999**step)
            expected[i] -= 0.01 * mean / (square**0.5 + 1e-8)
    assert weight.tolist() == pytest.approx(expected, rel=1e-5)


def test_a_parameter_without_a_gradient_stays_and_counts_no_step() -> None:
    parameters = [torch.nn.Parameter(torch.tensor([1.0])) for _ in range(2)]
    optimizer = Adam(learning_rate=0.01).build(parameters)
    for _ in range(3):
        parameters[0].grad = torch.tensor([5.0])
        optimizer.step()
    assert parameters[1].item() == 1.0
    parameters[0].grad, parameters[1].grad = None, torch.tensor([-5.0])
    optimizer.step()  # its first: the bias of the moments is corrected for one step, not for four
    assert [parameter.item() for parameter in parameters] == pytest.approx([0.97, 1.01], abs=1e-6)


def test_clipping_by_hand() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(size)) for size in (1, 2, 1)]
    first, second = torch.tensor([6.0]), torch.tensor([0.0, -8.0])
    parameters[0].grad, parameters[1].grad = first, second
    clip(parameters, 20.0)
    assert [*first.tolist(), *second.tolist()] == [6.0, 0.0, -8.0]
    clip(parameters, 5.0)  # in place
    assert [*first.tolist(), *second.tolist()] == pytest.approx([3.0, 0.0, -4.0], rel=1e-6)
    assert parameters[2].grad is None
    clip(parameters[2:], 5.0)


@pytest.mark.parametrize("norm", [0.5, 5.0, 50.0])
def test_clipping_as_torch_does(norm: float) -> None:
    """Bit for bit."""
    generator = torch.Generator().manual_seed(3)
    sides = [[torch.nn.Parameter(torch.zeros(size)) for size in (7, 64, 1)] for _ in range(2)]
    for pair in zip(*sides, strict=True):
        gradient = torch.randn(len(pair[0]), generator=generator)
        for parameter in pair:
            parameter.grad = gradient.clone()
    clip(sides[0], norm)
    torch.nn.utils.clip_grad_norm_(sides[1], norm)
    for one, other in zip(*sides, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert one.grad.tolist() == other.grad.tolist()


@pytest.mark.parametrize("optimizer", [SGD(), Adam()], ids=["sgd", "adam"])
def test_a_restored_descent_goes_on_as_the_first(optimizer: SGD | Adam) -> None:
    weights = [torch.nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2)]
    first, second = (optimizer.build([weight]) for weight in weights)
    for gradient in ([1.0, -3.0], [-2.0, 0.5], [0.1, 7.0]):
        weights[0].grad = torch.tensor(gradient)
        first.step()
    second.restore(copy.deepcopy(first.state()))
    with torch.no_grad():
        weights[1].copy_(weights[0])
    for weight, descent in zip(weights, (first, second), strict=True):
        weight.grad = torch.tensor([0.3, -0.2])
        descent.step()
    assert weights[0].tolist() == weights[1].tolist()


def test_training_does_not_bring_torchs_compiler() -> None:
    """It takes a process two seconds."""
    program = (
        "import sys; from trainables.text.grammar import embedded_corpus as corpus;"
        "from trainables.training.loop import Training; from trainables.variants import load_variant as load;"
        "training = Training(load('annealed'), corpus(0, (40, 20, 20)), epochs=1, seed=0);"
        "training.run_epoch(); training.state(); training.final_metrics(iw_samples=2);"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


@pytest.mark.parametrize("optimizer", [SGD(), Adam()], ids=["sgd", "adam"])
def test_no_parameters_at_all_are_fine(optimizer: SGD | Adam) -> None:
    built = optimizer.build([])
    built.step()
    assert built.parameters == []


@pytest.mark.parametrize(
    ("knob", "value", "rule"),
    [
        ("learning_rate", 0.0, "> 0"),
        ("decay_factor", 1.0, r"in \(0, 1\)"),
        ("decay_patience", 0, ">= 1"),
        ("decay_from", -1, ">= 0"),
        ("max_decays", -1, ">= 0"),
        ("decay_margin", 1.0, r"in \[0, 1\)"),
    ],
)
def test_values_out_of_range_are_refused(knob: str, value: float, rule: str) -> None:
    with pytest.raises(KnobError, match=f"{knob} must be {rule}, got {value}"):
        SGD(**{knob: value})
