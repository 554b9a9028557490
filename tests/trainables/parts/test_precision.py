"""Training in bfloat16: what is in it and what is not."""

from __future__ import annotations

import pytest
import torch

from tests.trainables.models import MakeVariant
from trainables.evaluation.evaluate import evaluate
from trainables.parts import precision
from trainables.parts.precision import BrainFloat, at_least_single
from trainables.text.splits import Corpus
from trainables.training.loop import Training


@pytest.mark.parametrize(
    ("dtype", "found"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_at_least_single(dtype: torch.dtype, found: torch.dtype) -> None:
    assert at_least_single(torch.zeros(2, dtype=dtype)).dtype == found


@pytest.mark.parametrize("decoder", ["lstm", "dilated"])
@pytest.mark.parametrize("onednn", ["as it is", "without bfloat16"])
def test_gradients_are_close_and_single_and_evaluation_is_exact(
    small: MakeVariant, varied: Corpus, decoder: str, onednn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if onednn == "without bfloat16":
        monkeypatch.setattr(precision, "onednn_has_bfloat16", lambda: False)
    exact, half = (
        Training(small("vanilla", decoder=decoder, precision=name), varied, epochs=1, seed=5)
        for name in ("fp32", "bf16")
    )
    batch = exact.random_batch()
    gradients = []
    for training in (exact, half):
        training.model.train()
        torch.manual_seed(1)
        training.gradients(batch)
        assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in training.parameters)
        gradients.append(torch.cat([p.grad.flatten() for p in training.parameters if p.grad is not None]))
    error = float((gradients[0] - gradients[1]).norm() / gradients[0].norm())
    assert 1e-4 < error < 0.05
    ours, theirs = (evaluate(training.model, varied.valid, training.device) for training in (exact, half))
    assert (ours[1] == theirs[1]).all()


@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_onednn_is_left_out_where_it_has_no_bfloat16(
    has_bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "onednn_has_bfloat16", lambda: has_bfloat16)
    product = torch.ones(2, 2)
    with BrainFloat().autocast(torch.device("cpu")):
        assert torch.backends.mkldnn.enabled is has_bfloat16
        assert (product @ product).dtype == torch.bfloat16
    assert torch.backends.mkldnn.enabled
