import math
from itertools import pairwise, product

import numpy as np
import pytest
import torch

from trainables.text.oracle import COMPONENTS, LSTMOracle, Oracle, synthetic_corpus, words_of
from trainables.text.splits import CorpusError
from trainables.text.vocabulary import END, SPECIAL_WORDS, START

TINY = Oracle(words=3, length=3, hidden_size=4)
ALL_TINY = torch.tensor(list(product(range(3), repeat=3)))


def by_hand(oracle: LSTMOracle, words: list[int], z: list[float]) -> float:
    """log p(x|z), the LSTM's gates written out in numpy."""

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(-x))

    weights = {name: tensor.double().numpy() for name, tensor in oracle.state_dict().items()}
    cell = weights["start.weight"] @ np.array(z)
    hidden = np.tanh(cell)
    total = -math.log(len(weights["embedding.weight"]))
    for word, following in pairwise(words):
        inputs = np.concatenate([weights["embedding.weight"][word], z])
        gates = weights["lstm.weight_ih_l0"] @ inputs + weights["lstm.weight_hh_l0"] @ hidden
        i, f, g, o = np.split(gates + weights["lstm.bias_ih_l0"] + weights["lstm.bias_hh_l0"], 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(cell)
        logits = weights["output.weight"] @ hidden + weights["direct.weight"] @ np.array(z)
        total += logits[following] - np.log(np.exp(logits).sum())
    return float(total)


def test_log_likelihood_by_hand() -> None:
    oracle = Oracle(words=7, length=5, hidden_size=6).build(3)
    words, z = [[1, 6, 0, 2, 2], [4, 4, 3, 5, 0]], [[0.3, -2.1], [1.7, 0.4]]
    found = oracle.log_likelihood(torch.tensor(words), torch.tensor(z))
    assert found.tolist() == pytest.approx(
        [by_hand(oracle, w, v) for w, v in zip(words, z, strict=True)], abs=1e-5
    )


@pytest.mark.parametrize("z", [(-2.0, 1.0), (0.5, 3.0)])
def test_the_sentences_probabilities_sum_to_one(z: tuple[float, float]) -> None:
    log_p = TINY.build(1).log_likelihood(ALL_TINY, torch.tensor([z]).expand(27, -1))
    assert float(log_p.exp().sum()) == pytest.approx(1.0, abs=1e-5)


def test_samples_have_the_frequencies_of_the_likelihood() -> None:
    oracle, draws = TINY.build(1), 20_000
    z_12 = torch.tensor([[0.4, -0.7]])
    words_NL = oracle.sample(z_12.expand(draws, -1), np.random.default_rng(2))
    counts = np.bincount(words_NL.numpy() @ [9, 3, 1], minlength=27)
    expected = draws * oracle.log_likelihood(ALL_TINY, z_12.expand(27, -1)).exp().numpy()
    frequent = expected > 5
    assert ((counts - expected) ** 2 / expected)[frequent].sum() < 54.1  # 26 degrees of freedom, p = 0.001


def test_the_published_oracle() -> None:
    oracle = Oracle().build(0)
    largest = {name: float(tensor.abs().max()) for name, tensor in oracle.state_dict().items()}
    assert largest.pop("direct.weight") == pytest.approx(3.0, abs=0.01)
    assert list(largest.values()) == pytest.approx([1.0] * len(largest), abs=0.01)
    assert oracle.lstm.hidden_size == 100
    assert oracle.lstm.input_size == 100 + 2
    assert oracle.output.weight.shape == (1000, 100)


def test_corpus() -> None:
    corpus = synthetic_corpus(4, (4000, 100, 60))
    assert [len(split) for split in (corpus.train, corpus.valid, corpus.test)] == [4000, 100, 60]
    assert len(corpus.vocabulary) == 1004
    assert corpus.vocabulary.words[4:6] == ("w000", "w001")
    assert corpus.label_names == ("(-2, -2)", "(-2, +2)", "(+2, -2)", "(+2, +2)")
    assert corpus.entropy_floor is None
    tokens_NT = corpus.train.tokens.reshape(4000, 12)
    assert (tokens_NT[:, 0] == START).all()
    assert (tokens_NT[:, -1] == END).all()
    assert tokens_NT[:, 1:-1].min() >= len(SPECIAL_WORDS)
    assert (words_of(corpus.train) == tokens_NT[:, 1:-1] - 4).all()
    # The first word is uniform over 1000: in tens, 99 degrees of freedom, p = 0.001.
    tens = np.bincount(words_of(corpus.train)[:, 0] // 10, minlength=100)
    assert ((tens - 40) ** 2 / 40).sum() < 148.2
    assert corpus.train.labels is not None
    components = np.bincount(corpus.train.labels, minlength=4)
    assert ((components - 1000) ** 2 / 1000).sum() < 16.3  # 3 degrees of freedom


def test_the_labels_are_the_components() -> None:
    """Each sentence is on average most likely under the mean of its own component."""
    corpus = synthetic_corpus(4, (400, 1, 1))
    words_NL = torch.from_numpy(words_of(corpus.train))
    oracle = Oracle().build(4)
    log_p_KN = torch.stack(
        [oracle.log_likelihood(words_NL, torch.tensor([mean]).expand(400, -1)) for mean in COMPONENTS]
    )
    assert corpus.train.labels is not None
    assert (log_p_KN.argmax(0).numpy() == corpus.train.labels).mean() > 0.85


def test_the_seed_decides_and_the_splits_are_independent() -> None:
    small = Oracle(words=50, hidden_size=8)
    corpus, again, other = (synthetic_corpus(seed, (40, 40, 40), small) for seed in (1, 1, 2))
    assert corpus.digest == again.digest
    assert corpus.digest != other.digest
    splits = [words_of(split).tolist() for split in (corpus.train, corpus.valid, corpus.test)]
    assert splits[0] != splits[1] != splits[2] != splits[0]


def test_larger_output_weights_lower_the_entropy() -> None:
    rng = np.random.default_rng(0)
    z_NZ = torch.from_numpy(rng.standard_normal((300, 2)).astype(np.float32)) + 2.0
    nats = []
    for scale in (0.3, 1.0, 3.0):
        oracle = Oracle(output_range=scale).build(0)
        nats.append(-float(oracle.log_likelihood(oracle.sample(z_NZ, rng), z_NZ).mean()))
    assert nats[0] > nats[1] + 5 > nats[2] + 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"words": 0}, "words of an oracle is at least 1, got 0"),
        ({"length": 1}, "length of an oracle is at least 2, got 1"),
        ({"output_range": -1.0}, "output_range of an oracle is finite and not negative, got -1.0"),
        ({"latent_range": math.nan}, "latent_range .*, got nan"),
    ],
)
def test_the_configuration_is_checked(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        Oracle(**arguments)


def test_sizes_and_seed_are_checked() -> None:
    with pytest.raises(CorpusError, match=r"at least 2 .*, got \(1, 1, 1\)"):
        synthetic_corpus(0, (1, 1, 1))
    with pytest.raises(CorpusError, match="not negative, got -1"):
        synthetic_corpus(-1)
