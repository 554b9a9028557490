"""oneDNN's products against torch's own in float64, and who gets them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from trainables.parts import products
from trainables.parts.products import SMALLEST, Linear, product

ROWS, INSIDE, COLUMNS = 9, 6, 5


@pytest.fixture(autouse=True)
def faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "onednn_is_faster", lambda: True)


@pytest.fixture
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "SMALLEST", 1)


class Products(TorchDispatchMode):
    """Names of the products that were called."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if name in ("_linear_pointwise", "mm", "addmm"):
            self.called.append(name)
        return func(*args, **(kwargs or {}))


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("given", [True, False])
def test_a_product_of_strided_parts(bias: bool, given: bool) -> None:
    """Columns of a wider array, a transposed weight, into the middle of another array."""
    x_RI, weight_OI = numbers(ROWS, INSIDE + 3)[:, 1 : INSIDE + 1], numbers(INSIDE, COLUMNS).T
    bias_O = numbers(COLUMNS) if bias else None
    around = torch.zeros(ROWS, COLUMNS + 2)
    with Products() as found:
        y_RO = product(x_RI, weight_OI, bias_O, out_RO=around[:, 1:-1] if given else None)
    expected_RO = x_RI.double() @ weight_OI.double().T + (0.0 if bias_O is None else bias_O.double())
    assert torch.allclose(y_RO.double(), expected_RO, rtol=0, atol=1e-5)
    assert found.called == ["_linear_pointwise"]
    assert bool((y_RO == around[:, 1:-1]).all()) == given
    assert not around[:, 0].any()
    assert not around[:, -1].any()


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(ROWS, INSIDE), (3, 4, INSIDE)])
def test_a_layer_and_its_gradients_as_torchs(shape: tuple[int, ...], bias: bool) -> None:
    ours = Linear(INSIDE, COLUMNS, bias=bias)
    theirs = nn.Linear(INSIDE, COLUMNS, bias=bias, dtype=torch.float64)
    theirs.load_state_dict(ours.state_dict())
    found, expected = [], []
    for layer, gradients in ((ours, found), (theirs, expected)):
        x = numbers(*shape).to(layer.weight.dtype).requires_grad_()
        y = layer(x)
        towards = numbers(COLUMNS, *shape[:-1]).movedim(0, -1).to(y.dtype)  # strided
        with Products() as calls:
            gradients += [y, *torch.autograd.grad((y * towards).sum(), (x, *layer.parameters()))]
    assert not [name for name in calls.called if name == "_linear_pointwise"], "of float64"
    for mine, wanted in zip(found, expected, strict=True):
        assert mine.shape == wanted.shape
        assert torch.allclose(mine.double(), wanted, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("any_size")
def test_three_products_a_step_and_none_that_nobody_asked_for() -> None:
    layer, x = Linear(INSIDE, COLUMNS), numbers(ROWS, INSIDE).requires_grad_()
    with Products() as found:
        layer(x).sum().backward()
    assert found.called == ["_linear_pointwise"] * 3
    layer.weight.requires_grad_(False)
    with Products() as found:
        layer(x).sum().backward()
    assert found.called == ["_linear_pointwise"] * 2


def calls_of(x: Tensor, layer: nn.Linear) -> list[str]:
    with torch.no_grad(), Products() as found:
        layer(x)
        product(x, layer.weight)
    return found.called


def test_small_products_stay_with_mkl() -> None:
    columns = 64
    layer = Linear(columns, columns)
    rows = SMALLEST // columns**2
    assert calls_of(numbers(rows, columns), layer) == ["_linear_pointwise"] * 2
    assert calls_of(numbers(rows - 1, columns), layer) == ["addmm", "mm"]


@pytest.mark.usefixtures("any_size")
def test_other_formats_stay_with_torch() -> None:
    layer, x = Linear(INSIDE, COLUMNS), numbers(ROWS, INSIDE)
    assert calls_of(x.double(), layer.double()) == ["addmm", "mm"]
    assert calls_of(x.bfloat16(), layer.bfloat16()) == ["addmm", "mm"]
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.float()(x).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("name", "avx512", "expected"),
    [
        ("AMD EPYC 9B14", True, True),
        ("AMD Ryzen 9 3950X", False, False),
        ("Intel(R) Xeon(R)", True, False),
        ("unknown", False, False),
    ],
)
def test_which_cpus(name: str, avx512: bool, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": name, "avx512_f": avx512})
    assert products.onednn_is_faster.__wrapped__() == expected


def test_a_torch_that_does_not_say_its_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not products.onednn_is_faster.__wrapped__()
