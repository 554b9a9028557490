"""The mask by counts, by its independence, and by the gradient that goes the same way."""

from __future__ import annotations

import pytest
import torch

from trainables.parts.dropout import Dropout


@pytest.mark.parametrize("p", [0.01, 0.2, 0.5, 0.999])
def test_as_many_are_dropped_as_asked_for(p: float) -> None:
    torch.manual_seed(0)
    x_AB = torch.ones(1000, 1003)  # not a multiple of the masks in a random number
    found_AB = Dropout(p)(x_AB)
    count, kept = x_AB.numel(), found_AB > 0
    error = (p * (1 - p) / count) ** 0.5
    assert kept.double().mean().item() == pytest.approx(1 - p, abs=4 * error + 2**-17)
    assert found_AB[kept].unique().tolist() == [pytest.approx(1 / (1 - p), rel=2**-17 / (1 - p))]
    for step in (1, 2, 3, 4, 1003):  # neighbours, those of one random number and those a row away
        flat = kept.flatten().double() - (1 - p)
        correlation = (flat[step:] * flat[:-step]).mean() / (p * (1 - p))
        assert abs(correlation.item()) < 4 / count**0.5


def test_the_gradient_passes_where_the_value_did() -> None:
    torch.manual_seed(0)
    x = torch.randn(50, dtype=torch.float64, requires_grad=True)
    found = Dropout(0.3)(x)
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    torch.testing.assert_close(x.grad, found.detach() / x.detach())


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.7, False)])
def test_nothing_is_dropped_without_dropout_and_outside_training(p: float, training: bool) -> None:
    x = torch.randn(3, 4)
    assert Dropout(p).train(training)(x) is x


def test_the_global_generator_decides() -> None:
    x, dropout = torch.ones(7, 5), Dropout(0.5)
    torch.manual_seed(3)
    first, second = dropout(x), dropout(x)
    torch.manual_seed(3)
    assert torch.equal(first, dropout(x))
    assert not torch.equal(first, second)
