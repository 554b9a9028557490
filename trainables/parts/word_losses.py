"""The output layer and the cross-entropy in one, so that the logits are held once and never copied.

Plainly written, a step holds N · V logits, their logarithms and the gradients of both; here the logarithms of
the probabilities become their own gradient in place, as many rows at a time as a cache holds. For MKL a row
is a multiple of 8 long, what stands behind the vocabulary having probability 0: where rows begin just
anywhere, its products take up to half as long again (704 rows, 5,452 words: 40 ms beside 27). Same value and
same gradients, but for rounding.

Shape suffixes: N words to predict, R of them at a time, H hidden, V vocabulary, W width of a row.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainables.parts.precision import at_least_single
from trainables.parts.products import product, takes_onednn

CACHED_LOGITS = 2**21
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
        parts = _parts(hidden_NH, words)
        room_NW = None
        if not takes_onednn(hidden_NH, weight_VH) or (keeps and len(parts) > 1):
            rows = len(hidden_NH) if keeps else parts[0].stop
            room_NW = hidden_NH.new_empty(rows, words + -words % MULTIPLE)
            room_NW[:, words:] = -math.inf
        losses_N = at_least_single(hidden_NH.new_empty(len(hidden_NH)))
        for part in parts:
            room_RW = None if room_NW is None else room_NW[part if keeps else slice(part.stop - part.start)]
            logits_RW = _logits(hidden_NH[part], weight_VH, bias_V, room_RW)
            log_p_RW = _logarithms(at_least_single(logits_RW))
            torch.neg(log_p_RW.gather(1, targets_N[part].unsqueeze(1)).squeeze(1), out=losses_N[part])
            logits_RW.copy_(log_p_RW)  # which does nothing unless they were shorter than single
        if keeps:
            ctx.save_for_backward(hidden_NH, weight_VH, targets_N)
            ctx.log_p_NW = logits_RW if room_NW is None else room_NW
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
        _, weight_wanted, bias_wanted, _ = ctx.needs_input_grad
        hidden_gradient_NH, weight_gradient_VH = torch.empty_like(hidden_NH), None
        logits_gradient_NV = log_p_NW[:, : len(weight_VH)]
        parts = _parts(hidden_NH, len(weight_VH))
        for part in parts:
            gradient_R1 = gradient_N[part].unsqueeze(1).to(log_p_NW.dtype)
            log_p_NW[part].exp_().mul_(gradient_R1)
            gradient_RV = logits_gradient_NV[part]
            gradient_RV.scatter_add_(1, targets_N[part].unsqueeze(1), -gradient_R1)
            product(gradient_RV, weight_VH.T, out_RO=hidden_gradient_NH[part])
            if weight_wanted:
                own_VH = product(gradient_RV.T, hidden_NH[part].T)
                own_VH = own_VH if len(parts) == 1 else at_least_single(own_VH)  # many are added up
                weight_gradient_VH = own_VH if weight_gradient_VH is None else weight_gradient_VH.add_(own_VH)
        bias_gradient_V = logits_gradient_NV.sum(0) if bias_wanted else None
        return hidden_gradient_NH, weight_gradient_VH, bias_gradient_V, None


def _parts(hidden_NH: Tensor, words: int) -> list[slice]:
    """A GPU is fastest at all of them together."""
    rows = len(hidden_NH)
    at_once = max(1, CACHED_LOGITS // words) if hidden_NH.device.type == "cpu" else rows
    return [slice(first, min(first + at_once, rows)) for first in range(0, rows, at_once)]


def _logits(hidden_RH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, room_RW: Tensor | None) -> Tensor:
    """logits_RW; in this room, if there is any, where rows go on behind the vocabulary. oneDNN makes room of
    its own in any case."""
    if room_RW is None:
        return product(hidden_RH, weight_VH, bias_V)
    product(hidden_RH, weight_VH, bias_V, out_RO=room_RW[:, : len(weight_VH)])
    return room_RW


def _logarithms(logits_RW: Tensor) -> Tensor:
    """Of the probabilities, in the place of the logits. On a CPU each row is read to its end before it is
    written; of a GPU's kernels nobody says so."""
    if logits_RW.device.type == "cpu":
        return torch.log_softmax(logits_RW, 1, out=logits_RW)
    return logits_RW.sub_(logits_RW.logsumexp(1, keepdim=True))
