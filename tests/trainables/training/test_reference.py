"""The reference preset against the published procedure as `published.py` spells it out."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainables.published import Published, equal_length_batches, kl_weights, still_aggressive
from trainables.model.variant import Variant
from trainables.text.splits import Corpus
from trainables.training.loop import Training
from trainables.training.presets import REFERENCE
from trainables.training.records import EpochMetrics
from trainables.variants import load_variant

SIZES = {"embedding_size": 7, "hidden_size": 10, "latent_size": 3, "batch_size": 8}
DECODERS: dict[str, dict[str, Any]] = {"lstm": {}, "dilated": {"decoder": "dilated", "dilation": "1-2"}}
# Weights so large that all layers learn within a few updates, and a limit that clips some gradients.
LIVELY = {"init_range": 0.3, "embedding_range": 0.3, "clip_norm": 1.0}


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def reference(name: str, **own: Any) -> Variant:
    """The preset at small sizes."""
    own = SIZES | own
    slots = {knob: own[knob] for knob in ("decoder",) if knob in own}
    variant = load_variant(name).with_knobs(slots)
    return variant.with_knobs(REFERENCE.knobs_for(variant, own) | own)


class Twin:
    """The plain training that starts where the product's does, and draws the same noise and batches."""

    def __init__(self, training: Training) -> None:
        knobs, train = training.variant.knobs(), training.corpus.train
        self.plain = Published(
            {name: value.clone() for name, value in training.model.state_dict().items()},
            dilations=(1, 2) if knobs["decoder"] == "dilated" else (),
            rate=knobs["learning_rate"],
            clip=knobs["clip_norm"],
            window=knobs.get("inner_window", 15),
            limit=knobs.get("inner_limit", 99) + 1,
        )
        bounds = zip(train.offsets[:-1], train.offsets[1:], strict=True)
        size = training.variant.batch_size
        self.batches = equal_length_batches([train.tokens[a:b].tolist() for a, b in bounds], size)
        self.weights = iter(kl_weights(1000, 0.1, 10, len(train) / size))
        self.order, self.inner = deepcopy((training.batch_rng, training.inner_rng))
        self.noise = torch.get_rng_state()

    def run_epoch(self, *, aggressive: bool) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.noise)
            for visit in self.order.permutation(len(self.batches)).tolist():
                weight = next(self.weights)
                if aggressive:
                    self.plain.aggressive_update(self.batches[visit], weight, self._random)
                else:
                    self.plain.joint_update(self.batches[visit], weight)
            self.noise = torch.get_rng_state()

    def _random(self) -> Tensor:
        return self.batches[int(self.inner.integers(len(self.batches)))]


def most_apart(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest difference of any parameter."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", ["annealed", "aggressive"])
def test_an_epoch_equals_the_published_one(name: str, decoder: str, varied: Corpus) -> None:
    """In float32, learning rate 1, dropout 0.5, inner loops of up to 99 steps."""
    training = Training(reference(name, **LIVELY, **DECODERS[decoder]), varied, epochs=1, seed=2)
    twin, start = Twin(training), deepcopy(training.model.state_dict())
    assert sorted(len(batch) for batch in twin.batches) == [1, 2, 5, 6, 7, 8, 8, 8]
    training.run_epoch()
    twin.run_epoch(aggressive=name == "aggressive")
    plain = twin.plain
    assert training.cost.optimizer_steps == 8
    assert training.cost.inner_steps == sum(plain.inner_counts)
    if name == "aggressive":
        assert len(plain.inner_counts) == 8
        assert set(plain.inner_counts) <= {30, 45, 60, 75, 90, 99}
        assert min(plain.inner_counts) < 99
    assert plain.clipped > 0
    assert most_apart(training.model.state_dict(), plain.parameters) < 1e-6
    assert min(float((start[key] - value).abs().max()) for key, value in plain.parameters.items()) > 1e-3


def test_an_epoch_in_which_batches_weigh_as_their_sentences(varied: Corpus) -> None:
    """The one point of the updates in which the preset is not the default."""
    training = Training(
        reference("annealed", **LIVELY, batch_weighting="sentences"), varied, epochs=1, seed=2
    )
    twin = Twin(training)
    twin.plain.divisor = 8
    training.run_epoch()
    twin.run_epoch(aggressive=False)
    assert most_apart(training.model.state_dict(), twin.plain.parameters) < 1e-6


def test_inner_loops_that_come_to_their_limit_are_the_published_ones(varied: Corpus) -> None:
    """The limit is reached between two comparisons, as 99 is."""
    training = Training(reference("aggressive", **LIVELY, inner_limit=20), varied, epochs=1, seed=2)
    twin = Twin(training)
    training.run_epoch()
    twin.run_epoch(aggressive=True)
    assert twin.plain.inner_counts == [20] * 8
    assert most_apart(training.model.state_dict(), twin.plain.parameters) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(("decoder", "seed"), [("lstm", 3), ("dilated", 0)])
def test_epochs_equal_the_published_ones_beyond_the_phase(
    decoder: str, seed: int, varied: Corpus, double: None
) -> None:
    """In float64, where rounding hides no error: two aggressive epochs, and a joint one after them."""
    training = Training(reference("aggressive", **LIVELY, **DECODERS[decoder]), varied, epochs=3, seed=seed)
    twin, aggressive, epochs = Twin(training), [True], list[EpochMetrics]()
    for _ in range(3):
        twin.run_epoch(aggressive=aggressive[-1])
        epochs.append(training.run_epoch())
        aggressive.append(still_aggressive([epoch.valid.mutual_information_batch for epoch in epochs]))
    assert aggressive == [True, True, False, False]
    assert training.cost.inner_steps == sum(twin.plain.inner_counts) > 500
    assert most_apart(training.model.state_dict(), twin.plain.parameters) < 1e-12
    weights = kl_weights(24, 0.1, 10, 45 / 8)
    assert [epoch.kl_weight for epoch in epochs] == pytest.approx([weights[n] for n in (7, 15, 23)])
