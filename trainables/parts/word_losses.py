"""The output layer and the cross-entropy in one, so that the logits are held once and never copied.

Plainly written, a step holds N · V logits, their logarithms and the gradients of both; here the logarithms of
the probabilities become their own gradient in place, as many rows at a time as a cache holds. A row is a
multiple of 8 long, what stands behind the vocabulary having probability 0: where rows begin just anywhere, a
product takes up to half as long again (704 rows, 5,452 words: 40 ms beside 27). Same value and same
gradients, but for rounding.

Shape suffixes: N words to predict, R of them at a time, H hidden, V vocabulary, W width of a row.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainables.parts.precision import at_least_single

CACHED_LOGITS = 2**21
GPU_LOGITS = 2**25
MULTIPLE = 8


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
        words = len(weight_VH)
        width = words + -words % MULTIPLE
        parts = _parts(hidden_NH, width)
        logits_RW = hidden_NH.new_empty(parts[0].stop, width)
        log_p_NW = hidden_NH.new_empty(len(hidden_NH), width) if keeps else torch.empty_like(logits_RW)
        losses_N = at_least_single(hidden_NH.new_empty(len(hidden_NH)))
        logits_RW[:, words:] = -math.inf
        for part in parts:
            rows = part.stop - part.start
            logits, log_p = logits_RW[:rows], log_p_NW[part] if keeps else log_p_NW[:rows]
            _linear(hidden_NH[part], weight_VH, bias_V, logits[:, :words])
            exact = log_p if log_p.dtype == losses_N.dtype else torch.empty_like(log_p, dtype=losses_N.dtype)
            torch.log_softmax(logits, 1, exact.dtype, out=exact)
            torch.neg(exact.gather(1, targets_N[part].unsqueeze(1)).squeeze(1), out=losses_N[part])
            log_p.copy_(exact)
        if keeps:
            ctx.save_for_backward(hidden_NH, weight_VH, targets_N)
            ctx.log_p_NW = log_p_NW
        return losses_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """The logarithms become the gradient of the logits, p − 1 at the target and p elsewhere."""
        (gradient_N,) = gradients
        hidden_NH, weight_VH, targets_N = ctx.saved_tensors
        log_p_NW, ctx.log_p_NW = ctx.log_p_NW, None
        if log_p_NW is None:
            raise RuntimeError("the logits are gone: word_losses cannot be differentiated a second time")
        hidden_gradient_NH = torch.empty_like(hidden_NH)
        logits_gradient_NV = log_p_NW[:, : len(weight_VH)]
        for part in _parts(hidden_NH, log_p_NW.shape[1]):
            gradient_R1 = gradient_N[part].unsqueeze(1).to(log_p_NW.dtype)
            log_p_NW[part].exp_().mul_(gradient_R1)
            logits_gradient_NV[part].scatter_add_(1, targets_N[part].unsqueeze(1), -gradient_R1)
            torch.mm(logits_gradient_NV[part], weight_VH, out=hidden_gradient_NH[part])
        _, weight_wanted, bias_wanted, _ = ctx.needs_input_grad
        weight_gradient_VH = logits_gradient_NV.T @ hidden_NH if weight_wanted else None
        bias_gradient_V = logits_gradient_NV.sum(0) if bias_wanted else None
        return hidden_gradient_NH, weight_gradient_VH, bias_gradient_V, None


def _parts(hidden_NH: Tensor, width: int) -> list[slice]:
    rows = len(hidden_NH)
    logits = CACHED_LOGITS if hidden_NH.device.type == "cpu" else GPU_LOGITS
    at_once = max(1, logits // width)
    return [slice(first, min(first + at_once, rows)) for first in range(0, rows, at_once)]


def _linear(hidden_RH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, out_RV: Tensor) -> None:
    if bias_V is None:
        torch.mm(hidden_RH, weight_VH.T, out=out_RV)
    else:
        torch.addmm(bias_V, hidden_RH, weight_VH.T, out=out_RV)
