"""The synthetic corpus of He et al. (2019): an LSTM with random weights reads z and emits words.

z comes from four unit Gaussians at (±2, ±2); the first word is uniform and knows nothing of z; each further
word is drawn from the LSTM's softmax. Sentences all have the same number of words, so that for the data the
`</s>` behind the last one is certain, while a model has to learn to count. Since p(x) is a two-dimensional
integral, the corpus has a known entropy floor: `trainables.evaluation.oracle_floor`.

Shape suffixes: N sentences, L words of a sentence without marks, Z = 2 latent units, V words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from trainables.text.splits import Corpus, CorpusError, Int64Array, Split
from trainables.text.vocabulary import SPECIAL_WORDS, Vocabulary

COMPONENTS = ((-2.0, -2.0), (-2.0, 2.0), (2.0, -2.0), (2.0, 2.0))
"""Means of the mixture's components; all have unit variance and the same weight."""

_ORACLE = 3  # the stream of its weights; 0 to 2 are the splits'
_CHUNK = 1000


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """Configuration of the oracle; the defaults are the published ones. `build` makes the module.

    Args:
        words: V, ordinary words; the corpus's vocabulary has the special ones besides.
        length: L, at least 2.
        hidden_size: of the LSTM and of its word embedding.
        weight_range: embedding, LSTM and start state are U(±weight_range).
        output_range: U(±output_range) for the weights from the hidden state to the logits: the larger, the
            lower the entropy.
        latent_range: U(±latent_range) for the weights from z straight to the logits.
    """

    words: int = 1000
    length: int = 10
    hidden_size: int = 100
    weight_range: float = 1.0
    output_range: float = 1.0
    latent_range: float = 3.0

    def __post_init__(self) -> None:
        for name, least in (("words", 1), ("length", 2), ("hidden_size", 1)):
            if getattr(self, name) < least:
                raise CorpusError(f"{name} of an oracle is at least {least}, got {getattr(self, name)}")
        for name in ("weight_range", "output_range", "latent_range"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise CorpusError(f"{name} of an oracle is finite and not negative, got {value}")

    def build(self, seed: int = 0) -> LSTMOracle:
        """The oracle with weights drawn from `seed`, in float32."""
        return LSTMOracle(self, np.random.default_rng([seed, _ORACLE]))


class LSTMOracle(nn.Module):
    """p(x|z): c0 = W z, h0 = tanh(c0), input [embedding; z], logits linear in the hidden state and in z."""

    def __init__(self, config: Oracle, rng: np.random.Generator) -> None:
        super().__init__()
        self.config = config
        latent, hidden = len(COMPONENTS[0]), config.hidden_size
        self.embedding = nn.Embedding(config.words, hidden)
        self.start = nn.Linear(latent, hidden, bias=False)
        self.lstm = nn.LSTM(hidden + latent, hidden, batch_first=True)
        self.output = nn.Linear(hidden, config.words, bias=False)
        self.direct = nn.Linear(latent, config.words, bias=False)
        ranges = {"output.weight": config.output_range, "direct.weight": config.latent_range}
        for name, parameter in self.named_parameters():  # numpy's draws stay the same from release to release
            limit = ranges.get(name, config.weight_range)
            weights = rng.uniform(-limit, limit, size=tuple(parameter.shape))
            parameter.data = torch.from_numpy(weights.astype(np.float32))
        self.requires_grad_(False)

    def log_likelihood(self, words_NL: Tensor, z_NZ: Tensor) -> Tensor:
        """log p(x|z) of each sentence with its z, as nats_N; float32 but for the sum over words."""
        z_NLZ = z_NZ.unsqueeze(1).expand(-1, words_NL.shape[1] - 1, -1)
        hidden_NLH, _ = self.lstm(torch.cat((self.embedding(words_NL[:, :-1]), z_NLZ), 2), self._state(z_NZ))
        logits_NLV = self.output(hidden_NLH) + self.direct(z_NZ).unsqueeze(1)
        losses_NL = functional.cross_entropy(
            logits_NLV.flatten(0, 1), words_NL[:, 1:].flatten(), reduction="none"
        ).view(len(words_NL), -1)
        return -losses_NL.double().sum(1) - math.log(self.config.words)

    def sample(self, z_NZ: Tensor, rng: np.random.Generator) -> Tensor:
        """A sentence for each z, as words_NL in 0 … V − 1."""
        uniform_LN = rng.random((self.config.length, len(z_NZ)))
        words = [torch.from_numpy((uniform_LN[0] * self.config.words).astype(np.int64))]
        state, direct_NV = self._state(z_NZ), self.direct(z_NZ)
        for uniform_N in uniform_LN[1:]:
            input_N1 = torch.cat((self.embedding(words[-1]), z_NZ), 1).unsqueeze(1)
            hidden_N1H, state = self.lstm(input_N1, state)
            logits_NV = self.output(hidden_N1H[:, 0]) + direct_NV
            cumulative_NV = logits_NV.double().softmax(1).cumsum(1)
            threshold_N1 = torch.from_numpy(uniform_N).unsqueeze(1) * cumulative_NV[:, -1:]
            words.append(torch.searchsorted(cumulative_NV, threshold_N1, right=True)[:, 0])
        return torch.stack(words, 1)

    def _state(self, z_NZ: Tensor) -> tuple[Tensor, Tensor]:
        cell_1NH = self.start(z_NZ).unsqueeze(0)
        return cell_1NH.tanh(), cell_1NH


def synthetic_corpus(
    seed: int = 0, sentences: tuple[int, int, int] = (16_000, 2_000, 2_000), oracle: Oracle | None = None
) -> Corpus:
    """Draw train, valid and test independently from `oracle.build(seed)`.

    The vocabulary is the oracle's whole one, so that no sentence has an unknown word. A label is the
    component of the mixture that z came from: for a probe of the latent variable. A model that is given it
    may lie below the entropy floor.

    Args:
        seed: not negative; the oracle and each split have their own streams.
        sentences: number in train (at least 2), valid and test (at least 1).
        oracle: by default the published one.

    Raises:
        CorpusError: an argument is out of its range.
    """
    if sentences[0] < 2 or min(sentences) < 1:
        raise CorpusError(f"train has at least 2 sentences, valid and test at least 1, got {sentences}")
    if seed < 0:
        raise CorpusError(f"a seed is not negative, got {seed}")
    config = oracle or Oracle()
    model = config.build(seed)
    digits = len(str(config.words - 1))
    vocabulary = Vocabulary(SPECIAL_WORDS + tuple(f"w{word:0{digits}}" for word in range(config.words)))
    train, valid, test = (
        _draw(model, count, np.random.default_rng([seed, split])) for split, count in enumerate(sentences)
    )
    names = tuple(f"({first:+.0f}, {second:+.0f})" for first, second in COMPONENTS)
    return Corpus("synthetic", "synthetic", vocabulary, train, valid, test, names)


def words_of(split: Split) -> Int64Array:
    """The oracle's words of a synthetic split, as words_NL in 0 … V − 1: no marks, no special words."""
    ids_NT = split.tokens.reshape(len(split), -1).astype(np.int64)
    return ids_NT[:, 1:-1] - len(SPECIAL_WORDS)


@torch.no_grad()
def _draw(model: LSTMOracle, count: int, rng: np.random.Generator) -> Split:
    component_N = rng.integers(len(COMPONENTS), size=count)
    means_NZ: NDArray[np.float64] = np.asarray(COMPONENTS)[component_N]
    z_NZ = torch.from_numpy((means_NZ + rng.standard_normal(means_NZ.shape)).astype(np.float32))
    words_NL = torch.cat([model.sample(chunk, rng) for chunk in torch.split(z_NZ, _CHUNK)])
    ids_NL: list[list[int]] = (words_NL + len(SPECIAL_WORDS)).tolist()
    return Split.from_ids(ids_NL, component_N.tolist())
