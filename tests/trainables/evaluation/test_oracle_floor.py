import math
from itertools import product

import numpy as np
import pytest
import torch

from trainables.evaluation import oracle_floor
from trainables.evaluation.oracle_floor import NotConvergedError, entropy_floor, log_marginal
from trainables.text.oracle import COMPONENTS, LSTMOracle, Oracle, synthetic_corpus, words_of
from trainables.text.splits import Int64Array

SMALL = Oracle(words=40, length=6, hidden_size=10)


def on_one_fine_grid(oracle: LSTMOracle, words_L: Int64Array) -> float:
    """log p(x) over [−8, 8]² at a step of 1/16, in one piece."""
    axis = np.arange(-128, 129) / 16
    z_PZ = np.array(list(product(axis, axis)))
    prior_P = np.mean([np.exp(-0.5 * ((z_PZ - m) ** 2).sum(1)) for m in COMPONENTS], 0) / (2 * math.pi)
    words_PL = torch.from_numpy(words_L).expand(len(z_PZ), -1)
    likelihood_P = oracle.log_likelihood(words_PL, torch.from_numpy(z_PZ).float()).exp().numpy()
    return math.log((prior_P * likelihood_P).sum() / 16**2)


def test_the_sentences_probabilities_sum_to_one() -> None:
    oracle = Oracle(words=3, length=3, hidden_size=4).build(1)
    p = [math.exp(log_marginal(oracle, np.array(words), 1e-6)) for words in product(range(3), repeat=3)]
    assert sum(p) == pytest.approx(1.0, abs=1e-5)


def test_a_fine_grid_says_the_same() -> None:
    corpus, oracle = synthetic_corpus(2, (2, 1, 4), SMALL), SMALL.build(2)
    for words_L in words_of(corpus.test):
        exact = on_one_fine_grid(oracle, words_L)
        assert log_marginal(oracle, words_L) == pytest.approx(exact, abs=1e-3)
        assert log_marginal(oracle, words_L, 1e-5) == pytest.approx(exact, abs=2e-5)


def test_monte_carlo_says_the_same() -> None:
    oracle, rng, draws = SMALL.build(2), np.random.default_rng(1), 40_000
    words_L = words_of(synthetic_corpus(2, (2, 1, 1), SMALL).test)[0]
    z_NZ = np.array(COMPONENTS)[rng.integers(4, size=draws)] + rng.standard_normal((draws, 2))
    words_NL = torch.from_numpy(words_L).expand(draws, -1)
    p_N = oracle.log_likelihood(words_NL, torch.from_numpy(z_NZ).float()).exp().numpy()
    error = p_N.std() / math.sqrt(draws)
    assert abs(math.exp(log_marginal(oracle, words_L)) - p_N.mean()) < 4 * error
    assert error < 0.05 * p_N.mean()


def test_the_floor_of_uniform_words_is_exact() -> None:
    config = Oracle(words=30, length=4, hidden_size=5, output_range=0.0, latent_range=0.0)
    floor = entropy_floor(config.build(0), synthetic_corpus(0, (2, 1, 9), config).test, sentences=5)
    assert floor.sentences == 5
    assert floor.nats == pytest.approx(4 * math.log(30), abs=1e-5)
    assert floor.nats_se == pytest.approx(0.0, abs=1e-5)


def test_the_floor_is_the_mean_over_the_first_sentences() -> None:
    oracle, test = SMALL.build(2), synthetic_corpus(2, (2, 1, 8), SMALL).test
    floor = entropy_floor(oracle, test, sentences=3)
    nats = [-log_marginal(oracle, words_L) for words_L in words_of(test)[:3]]
    assert floor.nats_N.tolist() == nats
    assert floor.nats == pytest.approx(np.mean(nats))
    assert floor.nats_se == pytest.approx(np.std(nats, ddof=1) / math.sqrt(3))


def test_a_value_that_never_stands_still_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle_floor, "_FINEST", 1 / 8)
    words_L = words_of(synthetic_corpus(0, (2, 1, 1), SMALL).test)[0]
    with pytest.raises(NotConvergedError, match=r"less than 0 nats, got [\d.e-]+ at a step of 1/8"):
        log_marginal(SMALL.build(0), words_L, tolerance=0)
