"""No model is better than the entropy of its corpus."""

from collections.abc import Callable

import pytest

from trainables.grammar import embedded_corpus
from trainables.training import Training
from trainables.variant import Variant

MakeVariant = Callable[..., Variant]


@pytest.mark.parametrize("name", ["vanilla", "dilated", "language_model"])
def test_no_model_is_better_than_the_entropy(small: MakeVariant, name: str) -> None:
    corpus = embedded_corpus(1, (800, 80, 80))
    assert corpus.entropy_floor is not None
    sizes = {
        "embedding_size": 32,
        "hidden_size": 48,
        "latent_size": 4,
        "batch_size": 32,
        "learning_rate": 0.01,
    }
    training = Training(small(name, **sizes), corpus, epochs=8, seed=1)
    for _ in range(8):
        metrics = training.run_epoch()
    assert metrics.train_nll < 20  # of 78 at random: it has learnt the grammar
    final = training.final_metrics(iw_samples=20, iw_sentences=80)
    weighted = final.importance_weighted
    assert weighted.iw_nll > corpus.entropy_floor - 3 * weighted.iw_nll_se
    assert final.test.nll_plus_kl > corpus.entropy_floor - 3 * final.test.nll_plus_kl_se
