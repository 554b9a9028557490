"""Losses and gradients against torch's own cross-entropy, and what is left of the logits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.parts import products
from trainables.parts import word_losses as module
from trainables.parts.word_losses import word_losses

ROWS, HIDDEN, WORDS = 11, 6, 7
TARGETS_N = torch.arange(ROWS) % WORDS


@pytest.fixture(params=[2**21, 3 * WORDS, 1], ids=["together", "three at a time", "one by one"], autouse=True)
def chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHED_LOGITS", request.param)


@pytest.fixture(params=[True, False], ids=["oneDNN", "MKL"], autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "SMALLEST", 1)
    monkeypatch.setattr(products, "onednn_is_faster", lambda: request.param)


def layer(dtype: torch.dtype, *, bias: bool, words: int = WORDS) -> tuple[Tensor, nn.Linear]:
    torch.manual_seed(1)
    hidden_NH = torch.randn(ROWS, HIDDEN, dtype=dtype, requires_grad=True)
    return hidden_NH, nn.Linear(HIDDEN, words, bias=bias, dtype=dtype)


@pytest.mark.parametrize("words", [WORDS, module.MULTIPLE, module.MULTIPLE + 1])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_as_plainly_written(dtype: torch.dtype, bias: bool, words: int) -> None:
    hidden_NH, output = layer(dtype, bias=bias, words=words)
    leaves = [hidden_NH, *output.parameters()]
    plain_N = functional.cross_entropy(output(hidden_NH), TARGETS_N, reduction="none")
    found_N = word_losses(hidden_NH, output, TARGETS_N)
    assert found_N.dtype == dtype
    accuracy = 2e-6 if dtype == torch.float32 else 1e-14
    assert torch.allclose(found_N, plain_N, rtol=0, atol=accuracy)
    weights_N = torch.linspace(-1, 2, ROWS, dtype=dtype)
    expected = torch.autograd.grad((weights_N * plain_N).sum(), leaves)
    for found, wanted in zip(torch.autograd.grad((weights_N * found_N).sum(), leaves), expected, strict=True):
        assert torch.allclose(found, wanted, rtol=0, atol=accuracy)


def test_many_words() -> None:
    """Longer rows than a kernel takes at once, and more of them."""
    torch.manual_seed(2)
    hidden_NH, output = torch.randn(70, 12), nn.Linear(12, 5003)
    targets_N = torch.arange(70) * 71
    plain_N = functional.cross_entropy(output(hidden_NH), targets_N, reduction="none")
    assert torch.allclose(word_losses(hidden_NH, output, targets_N), plain_N, rtol=0, atol=5e-6)


def test_by_hand() -> None:
    """Logits 0, ln 2, ln 5 of hidden state 1: probabilities 1/8, 2/8, 5/8."""
    output = nn.Linear(1, 3, bias=False)
    with torch.no_grad():
        output.weight.copy_(torch.tensor([[1.0], [2.0], [5.0]]).log())
    losses_N = word_losses(torch.ones(3, 1), output, torch.tensor([0, 1, 2]))
    assert losses_N.exp().tolist() == pytest.approx([8.0, 4.0, 1.6])


def test_without_gradients_the_losses_are_the_same() -> None:
    hidden_NH, output = layer(torch.float32, bias=False)
    with torch.no_grad():
        losses_N = word_losses(hidden_NH, output, TARGETS_N)
    assert not losses_N.requires_grad
    assert torch.allclose(losses_N, word_losses(hidden_NH, output, TARGETS_N).detach())


def test_half_precision_gives_losses_in_single() -> None:
    hidden_NH, output = layer(torch.float32, bias=True)
    found_N = word_losses(hidden_NH.bfloat16(), output, TARGETS_N)
    assert found_N.dtype == torch.float32
    exact_N = word_losses(hidden_NH, output, TARGETS_N)
    assert 1e-5 < float((found_N - exact_N).detach().abs().max()) < 0.05  # 8 bits of mantissa
    wanted, found = (torch.autograd.grad(n.sum(), output.weight)[0] for n in (exact_N, found_N))
    assert found.dtype == torch.float32
    assert torch.allclose(found, wanted, atol=0.05)


def test_in_half_precision_parts_are_added_up_in_single() -> None:
    """An error of 8 bits of mantissa, of however many parts the gradient is the sum."""
    torch.manual_seed(3)
    hidden_NH, output, targets_N = torch.randn(600, 32), nn.Linear(32, 50), torch.randint(50, (600,))
    exact, found = (
        torch.autograd.grad(word_losses(hidden_NH.to(dtype), output, targets_N).sum(), output.weight)[0]
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert float((found - exact).norm() / exact.norm()) < 2**-8


def test_the_logits_are_there_once() -> None:
    hidden_NH, output = layer(torch.float32, bias=False)
    total = word_losses(hidden_NH, output, TARGETS_N).sum()
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="a second time"):
        total.backward()
