"""Training in bfloat16: what is in it and what is not."""

from __future__ import annotations

import pytest
import torch

from tests.trainables.models import MakeVariant
from trainables.evaluation.evaluate import evaluate
from trainables.parts import precision
from trainables.parts.precision import at_least_single, onednn_has_bfloat16
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
@pytest.mark.parametrize("has_bfloat16", [onednn_has_bfloat16(), False])
def test_gradients_are_close_and_single_and_evaluation_is_exact(
    small: MakeVariant, varied: Corpus, decoder: str, has_bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on a CPU whose oneDNN has no bfloat16."""
    monkeypatch.setattr(precision, "onednn_has_bfloat16", lambda: has_bfloat16)
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
    assert torch.backends.mkldnn.enabled
    ours, theirs = (evaluate(training.model, varied.valid, training.device) for training in (exact, half))
    assert (ours[1] == theirs[1]).all()
