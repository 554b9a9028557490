"""What a training step does, counted: the same on every machine, whatever its speed.

Shape suffixes: N words to predict in a batch, V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.trainables.models import MakeVariant, random_batch
from trainables.text.splits import Corpus
from trainables.text.vocabulary import Vocabulary
from trainables.training.loop import Training

SENTENCES, WORDS, VOCABULARY = 8, 6, 500
LOGITS = SENTENCES * (WORDS + 1) * VOCABULARY
WAITS = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero")
"""Operators that wait for the device."""


class Counted(TorchDispatchMode):
    """Operator calls by name; and those with a result of as many numbers as there are logits, or more, in
    memory that they were not given."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.large = Counter[str](), Counter[str]()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        self.calls[name] += 1
        given = {leaf.data_ptr() for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        for leaf in tree_leaves(result):
            numbers = isinstance(leaf, Tensor) and leaf.is_floating_point()  # not oneDNN's workspace
            if numbers and leaf.numel() >= LOGITS and leaf.data_ptr() not in given:
                self.large[name] += 1
        return result


@pytest.fixture
def wide(varied: Corpus) -> Corpus:
    """With so many words that nothing is larger than the logits."""
    more = tuple(f"w{number}" for number in range(VOCABULARY - len(varied.vocabulary.words)))
    return replace(varied, vocabulary=Vocabulary(varied.vocabulary.words + more))


def counted(training: Training, step: Callable[[], object]) -> Counted:
    training.model.train()
    step()  # afterwards the optimisers have their states
    with Counted() as found:
        step()
    return found


@pytest.mark.parametrize(
    ("decoder", "calls"),
    [("lstm", 230), ("dilated", 425)],
)
def test_a_joint_step(small: MakeVariant, wide: Corpus, decoder: str, calls: int) -> None:
    training = Training(small("vanilla", decoder=decoder), wide, epochs=1, seed=1)
    batch = random_batch(SENTENCES, WORDS, VOCABULARY)
    found = counted(training, lambda: training.rule.update(training, batch))
    assert found.large == {"new_empty": 1}, "the logits, which become their gradient"
    assert not {name: found.calls[name] for name in WAITS if found.calls[name]}
    assert found.calls.total() <= calls


def test_plainly_written_the_logits_are_there_several_times(small: MakeVariant, wide: Corpus) -> None:
    """So that the count above means something."""
    training = Training(small("vanilla"), wide, epochs=1, seed=1)
    batch = random_batch(SENTENCES, WORDS, VOCABULARY)

    def step() -> None:
        z_BZ = training.model.posterior(batch).sample().z_BZ
        logits_BTV = training.model.decode(batch.tokens_BT[:, :-1], z_BZ)
        loss = torch.nn.functional.cross_entropy(logits_BTV.flatten(0, 1), batch.tokens_BT[:, 1:].flatten())
        torch.autograd.backward(loss)

    assert counted(training, step).large.total() >= 3


@pytest.mark.parametrize("window", [5, 10])
def test_inner_steps_wait_once_a_window(small: MakeVariant, wide: Corpus, window: int) -> None:
    knobs = {"inner_window": window, "inner_limit": 20}
    training = Training(small("aggressive", **knobs), wide, epochs=1, seed=1)
    batch = random_batch(SENTENCES, WORDS, VOCABULARY)
    before = training.rule.state.inner_steps
    found = counted(training, lambda: training.rule.update(training, batch))
    windows = (training.rule.state.inner_steps - before) // window
    assert 2 <= found.calls["_local_scalar_dense"] <= windows
