"""The output layer and the cross-entropy in one, so that the logits are held once and never copied.

Plainly written, a step holds N · V logits, their logarithms and the gradients of both; here the logits become
their own gradient in place, as many rows at a time as a cache holds. Same value and same gradients, but for
rounding.

Shape suffixes: N words to predict, R of them at a time, H hidden, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainables.parts.precision import at_least_single

CACHED_LOGITS = 2**21


def word_losses(hidden_NH: Tensor, output: nn.Linear, targets_N: Tensor) -> Tensor:
    """−log softmax(output(hidden))[target] as losses_N, in nats; the products in the precision of
    `hidden_NH`, the losses in float32 at least."""
    weight_VH, bias_V = (
        None if parameter is None else parameter.to(hidden_NH.dtype)
        for parameter in (output.weight, output.bias)
    )
    losses_N: Tensor = _WordLosses.apply(hidden_NH, weight_VH, bias_V, targets_N)  # type: ignore[no-untyped-call]
    return losses_N


class _WordLosses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_NH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, targets_N: Tensor
    ) -> Tensor:
        keeps = any(ctx.needs_input_grad)
        parts = _parts(hidden_NH, weight_VH)
        rows = len(hidden_NH) if keeps else parts[0].stop
        logits_NV = hidden_NH.new_empty(rows, len(weight_VH))
        normalizer_N = at_least_single(hidden_NH.new_empty(len(hidden_NH)))
        losses_N = torch.empty_like(normalizer_N)
        for part in parts:
            logits_RV = logits_NV[part] if keeps else logits_NV[: part.stop - part.start]
            _linear(hidden_NH[part], weight_VH, bias_V, logits_RV)
            torch.logsumexp(at_least_single(logits_RV), 1, out=normalizer_N[part])
            chosen_R = logits_RV.gather(1, targets_N[part].unsqueeze(1)).squeeze(1)
            torch.sub(normalizer_N[part], chosen_R, out=losses_N[part])
        if keeps:
            ctx.save_for_backward(hidden_NH, weight_VH, targets_N, normalizer_N)
            ctx.logits_NV = logits_NV
        return losses_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """The logits become their own gradient, p − 1 at the target and p elsewhere."""
        (gradient_N,) = gradients
        hidden_NH, weight_VH, targets_N, normalizer_N = ctx.saved_tensors
        logits_NV, ctx.logits_NV = ctx.logits_NV, None
        if logits_NV is None:
            raise RuntimeError("the logits are gone: word_losses cannot be differentiated a second time")
        hidden_gradient_NH = torch.empty_like(hidden_NH)
        for part in _parts(hidden_NH, weight_VH):
            logits_RV, gradient_R1 = logits_NV[part], gradient_N[part].unsqueeze(1)
            logits_RV.sub_(normalizer_N[part].unsqueeze(1)).exp_().mul_(gradient_R1)
            logits_RV.scatter_add_(1, targets_N[part].unsqueeze(1), -gradient_R1.to(logits_RV.dtype))
            torch.mm(logits_RV, weight_VH, out=hidden_gradient_NH[part])
        _, weight_wanted, bias_wanted, _ = ctx.needs_input_grad
        weight_gradient_VH = logits_NV.T @ hidden_NH if weight_wanted else None
        bias_gradient_V = logits_NV.sum(0) if bias_wanted else None
        return hidden_gradient_NH, weight_gradient_VH, bias_gradient_V, None


def _parts(hidden_NH: Tensor, weight_VH: Tensor) -> list[slice]:
    """A GPU is fastest at all of them together."""
    rows = len(hidden_NH)
    at_once = max(1, CACHED_LOGITS // len(weight_VH)) if hidden_NH.device.type == "cpu" else rows
    return [slice(first, min(first + at_once, rows)) for first in range(0, rows, at_once)]


def _linear(hidden_RH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, out_RV: Tensor) -> None:
    if bias_V is None:
        torch.mm(hidden_RH, weight_VH.T, out=out_RV)
    else:
        torch.addmm(bias_V, hidden_RH, weight_VH.T, out=out_RV)
