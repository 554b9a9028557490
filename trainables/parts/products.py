"""Large matrix products in single precision, by the faster of the two libraries that torch has on a CPU.

torch's `mm` and `linear` take MKL's, which leave AVX-512 to Intel's CPUs; oneDNN's, by which torch computes
LSTMs, use it on AMD's as well and are twice as fast there (docs/benchmarks/products.md). Same products,
but for rounding.

Shape suffixes: R rows, I inside, O columns.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

SMALLEST = 2**21
"""Multiplications of a product that oneDNN gets: below them its call costs what it saves."""


@cache
def onednn_is_faster() -> bool:
    """Whether this is a CPU of AMD with AVX-512; decided by its name, so that a training repeats itself."""
    features: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    amd = "AMD" in str(features.get("cpu_name")) and bool(features.get("avx512_f"))
    return amd and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def product(
    x_RI: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None, *, out_RO: Tensor | None = None
) -> Tensor:
    """x weightᵀ + bias, in `out_RO` if that is given. Not differentiable."""
    if takes_onednn(x_RI, weight_OI):
        y_RO = by_onednn(x_RI, weight_OI, bias_O)
        return y_RO if out_RO is None else out_RO.copy_(y_RO)
    if bias_O is None:
        return torch.mm(x_RI, weight_OI.T, out=out_RO)
    return torch.addmm(bias_O, x_RI, weight_OI.T, out=out_RO)


class Linear(nn.Linear):
    """As torch's."""

    def forward(self, x: Tensor) -> Tensor:
        if not takes_onednn(x, self.weight) or torch.is_autocast_enabled("cpu"):
            return functional.linear(x, self.weight, self.bias)
        y: Tensor = _Linear.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return y


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight_OI)
        return by_onednn(x, weight_OI, bias_O)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        x, weight_OI = ctx.saved_tensors
        x_wanted, weight_wanted, bias_wanted = ctx.needs_input_grad
        (gradient,) = gradients
        gradient_RO = gradient.flatten(0, -2)
        x_gradient = by_onednn(gradient, weight_OI.T) if x_wanted else None
        weight_gradient_OI = by_onednn(gradient_RO.T, x.flatten(0, -2).T) if weight_wanted else None
        return x_gradient, weight_gradient_OI, gradient_RO.sum(0) if bias_wanted else None


def takes_onednn(x: Tensor, weight_OI: Tensor) -> bool:
    """Whether oneDNN makes their product."""
    large = x.numel() * len(weight_OI) >= SMALLEST
    alike = large and x.dtype == weight_OI.dtype == torch.float32 and x.device.type == "cpu"
    return alike and onednn_is_faster()


def by_onednn(x: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight_OI, bias_O, "none", [], "")
    return y
