"""What a training takes of a GPU, where there is one; else that it says so, having trained all the same."""

from __future__ import annotations

import pytest
import torch

from trainables.text.splits import Corpus
from trainables.training.gpu_use import busy_share, gpu_use
from trainables.training.loop import Training
from trainables.variants import load_variant


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch must see no GPU")
def test_without_a_gpu(varied: Corpus) -> None:
    assert gpu_use([load_variant("vanilla")], varied, iw_samples=1, threads=1) is None


@pytest.mark.parametrize("variant", ["vanilla", "aggressive", "vq"])
def test_no_training_on_a_cpu_is_seen_on_a_gpu(
    varied: Corpus, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    def step(training: Training) -> None:
        nonlocal steps
        steps += 1
        taken(training)

    taken = Training.step_generator
    monkeypatch.setattr(Training, "step_generator", step)
    knobs = {"batch_size": 4, "pretraining_epochs": 0}
    assert busy_share(load_variant(variant).with_knobs(knobs), varied, 2, torch.device("cpu")) is None
    batches = Training(load_variant(variant).with_knobs(knobs), varied, epochs=1, seed=0).steps_per_epoch
    assert steps == min(5, batches) + 2 * min(30, batches)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu(varied: Corpus) -> None:
    use = gpu_use([load_variant("vanilla")], varied, iw_samples=10, threads=1)
    assert use is not None
    assert torch.cuda.max_memory_reserved() < use.needed < use.total
    assert use.busy is None or 0 < use.busy <= 1
