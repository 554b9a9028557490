"""The contract of every variant: a new file in trainables/variants is picked up by its name."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trainables import variants
from trainables.evaluation.evaluate import evaluate
from trainables.model.variant import Variant
from trainables.text.splits import Corpus
from trainables.training.loop import Training
from trainables.variants import UnknownVariantError, load_variant, variant_names

CPU = torch.device("cpu")
MakeVariant = Callable[..., Variant]
ALL = pytest.mark.parametrize("name", variant_names())


def test_every_file_is_a_variant() -> None:
    files = {path.stem for folder in variants.__path__ for path in Path(folder).glob("[!_]*.py")}
    assert set(variant_names()) == files
    assert files >= {"vanilla", "language_model", "annealed", "cyclical", "dilated", "aggressive"}
    assert files >= {"beta", "free_bits", "kl_target", "batch_norm", "skip", "pretrained", "conditional"}
    assert files >= {"gumbel", "vq"}


@ALL
def test_name_and_paper_are_set(name: str) -> None:
    variant = load_variant(name)
    assert variant.name == name
    assert any(character.isdigit() for character in variant.paper)  # the year
    assert len(variant.paper) > 10


@ALL
def test_an_epoch_of_training_teaches_something(small: MakeVariant, embedded: Corpus, name: str) -> None:
    variant = small(name, learning_rate=0.02, embedding_size=16, hidden_size=16, pretraining_epochs=0)
    training = Training(variant, embedded, epochs=1, seed=2)
    before, _ = evaluate(training.model, embedded.train, CPU)
    assert not training.finished
    metrics = training.run_epoch()
    assert training.finished
    after, _ = evaluate(training.model, embedded.train, CPU)
    assert after.nll < 0.9 * before.nll
    assert metrics.epoch == 1
    assert metrics.valid.nll < before.nll


@ALL
def test_figures_are_finite_and_within_their_bounds(small: MakeVariant, embedded: Corpus, name: str) -> None:
    training = Training(small(name, learning_rate=0.02, pretraining_epochs=0), embedded, epochs=1, seed=2)
    epoch = training.run_epoch()
    final = training.final_metrics(iw_samples=5, iw_sentences=12)
    for value in [*epoch.named().values(), *final.named().values(), *final.losses_N.tolist()]:
        assert math.isfinite(value)
    for metrics, sentences in ((epoch.valid, 40), (final.valid, 40), (final.test, 30)):
        assert metrics.kl >= 0
        assert metrics.nll > 0
        assert metrics.nll_plus_kl == pytest.approx(metrics.nll + metrics.kl)
        assert metrics.mutual_information_sentences == sentences
        assert metrics.mutual_information <= metrics.mutual_information_cap == math.log(sentences)
        assert metrics.mutual_information_batch <= math.log(32) + 1
        groups = training.variant.knobs().get("codes", 3)
        assert 0 <= metrics.active_units <= groups
        entries = training.variant.knobs().get("codebook_size")
        if entries is None:
            assert metrics.codebook_perplexity is None
        else:
            assert metrics.codebook_perplexity is not None
            assert 1 <= metrics.codebook_perplexity <= entries + 1e-9
        assert metrics.perplexity > 1
    assert final.valid == epoch.valid
    assert 0 <= epoch.kl_weight <= 1
    assert final.losses_N.shape == (30,)
    assert final.losses_N.mean() == pytest.approx(final.test.nll_plus_kl, rel=1e-5)
    assert final.importance_weighted.iw_nll > 0


@ALL
def test_a_variant_without_inference_has_no_rate(small: MakeVariant, embedded: Corpus, name: str) -> None:
    training = Training(small(name, pretraining_epochs=0), embedded, epochs=1, seed=2)
    valid = training.run_epoch().valid
    if name == "language_model":
        assert (valid.kl, valid.active_units) == (0.0, 0)
        assert valid.mutual_information == pytest.approx(0, abs=1e-9)
        assert list(training.model.inference_parameters()) == []
    else:
        assert valid.kl > 0


def test_an_unknown_variant_names_the_nearest() -> None:
    with pytest.raises(UnknownVariantError, match="no variant 'cyclic'; did you mean 'cyclical'\\?"):
        load_variant("cyclic")
