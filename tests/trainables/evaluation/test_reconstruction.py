from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from tests.trainables.models import MakeVariant, talking_model
from tests.trainables.trained import labels, texts, trained
from trainables.evaluation.evaluate import evaluate
from trainables.evaluation.reconstruction import Reconstructor
from trainables.evaluation.texts import write_texts
from trainables.model.text_vae import TextVAE
from trainables.text.splits import Corpus
from trainables.text.vocabulary import SPECIAL_WORDS, Vocabulary
from trainables.variants import variant_names


@pytest.mark.parametrize("name", variant_names())
def test_nll_and_kl_of_the_test_split_are_those_of_its_evaluation(
    small: MakeVariant, varied: Corpus, name: str
) -> None:
    model, losses_N = trained(small(name), varied)
    found = model.reconstructor().reconstruct(texts(varied.test, varied), labels(varied.test, varied))
    assert [each.nll + each.kl for each in found] == pytest.approx(losses_N.tolist(), abs=1e-5)
    metrics, _ = evaluate(model.reconstructor().model, varied.test, torch.device("cpu"))
    assert np.mean([each.nll for each in found]) == pytest.approx(metrics.nll, abs=1e-6)
    assert np.mean([each.kl for each in found]) == pytest.approx(metrics.kl, abs=1e-6)


@pytest.mark.parametrize("name", ["vanilla", "conditional", "vq"])
def test_the_text_is_that_of_the_examination(small: MakeVariant, varied: Corpus, name: str) -> None:
    model = talking_model(small(name, latent="batch_norm") if name == "vanilla" else small(name), 16)
    reconstructor = Reconstructor(model, varied.vocabulary, varied.label_names, varied.longest)
    shown = write_texts(model, varied, torch.device("cpu")).reconstructions
    found = reconstructor.reconstruct([each.sentence for each in shown], [each.label for each in shown])
    assert [each.text for each in found] == [each.decoded.greedy for each in shown]
    assert len({each.text for each in found}) > 1


def one_word_model(small: MakeVariant, told: bool) -> Reconstructor:
    """The same logits at each step, whatever z is; every posterior is the prior."""
    torch.manual_seed(1)
    words = (*SPECIAL_WORDS, "a", "b")
    variant = small("conditional" if told else "dilated", dilation="1", decoder="dilated")
    model = TextVAE(variant, len(words), (3, 1) if told else ())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.decoder.output.bias[3] = 1.0
    return Reconstructor(model, Vocabulary(words), ("x", "y") if told else (), longest=4)


def test_figures_by_hand(small: MakeVariant) -> None:
    """Logits are (0, 0, 0, 1, 0, 0) at each step: log p(</s>) = 1 − log(5 + e), of the others −log(5 + e)."""
    log_sum = np.log(5 + np.e)
    found = one_word_model(small, told=False).reconstruct(["b", "a b never", "a b"])
    assert [each.nll for each in found] == pytest.approx(
        [2 * log_sum - 1, 4 * log_sum - 1, 3 * log_sum - 1], rel=1e-6
    )
    assert [each.kl for each in found] == [0.0, 0.0, 0.0]
    assert [each.text for each in found] == ["", "", ""]  # </s> is the most probable first word


def test_a_label_costs_its_log_probability(small: MakeVariant) -> None:
    found = one_word_model(small, told=True).reconstruct(["b", "b"], ["y", "x"])
    sentence = 2 * np.log(5 + np.e) - 1
    assert [each.nll for each in found] == pytest.approx(
        [sentence + np.log(4), sentence + np.log(4 / 3)], rel=1e-6
    )


def test_any_order_any_white_space_and_unknown_words(small: MakeVariant, varied: Corpus) -> None:
    reconstructor = trained(small("language_model"), varied).model.reconstructor()  # z = 0: nothing is drawn
    sentences = ["a b c", "f", "k l", "a b c d e f", "zebra", "<unk>", "  a \t b\nc "]
    found = reconstructor.reconstruct(sentences)
    backwards = reconstructor.reconstruct(sentences[::-1])[::-1]
    assert [each.text for each in found] == [each.text for each in backwards]
    assert [each.nll for each in found] == pytest.approx([each.nll for each in backwards], rel=1e-6)
    assert found[4] == found[5]
    assert found[6] == found[0]
    assert reconstructor.reconstruct([]) == []


def test_the_same_every_time_and_training_mode_is_left(small: MakeVariant, varied: Corpus) -> None:
    reconstructor = trained(small("vanilla", dropout=0.5), varied).model.reconstructor()
    before = torch.get_rng_state()
    first = reconstructor.reconstruct(["a b", "c"])
    reconstructor.model.train()
    assert reconstructor.reconstruct(["a b", "c"]) == first
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("sentences", "given", "message"),
    [
        (["a", " \t "], None, "a sentence must be words with spaces between, at least one, got ' \\t '"),
        ([""], None, "got '': sentence 1 of 1"),
        ([None], None, "got None: sentence 1 of 1"),
        (["a"], None, "this model is told labels, so each sentence must have one, got none"),
        (["a", "b"], ["x"], "got 1 for 2 sentences"),
        (["a", "b"], ["x", "xx"], "a label must be one of the corpus, got 'xx': sentence 2 of 2; did"),
        (["a"], [float("nan")], "a label must be one of the corpus, got nan: sentence 1 of 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_reconstructed(
    small: MakeVariant, sentences: list[str], given: list[str] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        one_word_model(small, told=True).reconstruct(sentences, given)


def test_a_reconstruction_ends_at_the_longest_sentence(small: MakeVariant) -> None:
    reconstructor = one_word_model(small, told=False)
    with torch.no_grad():
        reconstructor.model.decoder.output.bias[5] = 2.0  # "b", before </s> for ever
    assert [each.text for each in reconstructor.reconstruct(["a", "a a a"])] == ["b b b b"] * 2


@pytest.mark.parametrize("word", ["<s>", "</s>", "<pad>"])
def test_a_mark_is_no_word(word: str, small: MakeVariant) -> None:
    model = one_word_model(small, told=False)
    with pytest.raises(ValueError, match=rf"^</s>, <pad>, <s> are reserved .*, got {word}: sentence 2 of 2$"):
        model.reconstruct(["a b", f"a {word} b"])
