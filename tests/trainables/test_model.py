import math
from collections.abc import Callable

import pytest
import torch
from torch.distributions import Categorical

from trainables.initialization import Uniform
from trainables.model import TextVAE
from trainables.variant import Variant, variant_names
from trainables.vocabulary import END, START, UNK

WORDS = 16
MakeVariant = Callable[..., Variant]


def sentences(count: int, words: int) -> torch.Tensor:
    inner_BT = torch.randint(4, WORDS, (count, words))
    return torch.cat([torch.full((count, 1), START), inner_BT, torch.full((count, 1), END)], dim=1)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_words_are_kept_at_the_keep_rate(small: MakeVariant, keep: float) -> None:
    model = TextVAE(small("annealed", word_keep_rate=keep), WORDS).train()
    inputs_BT = sentences(4000, 9)[:, :-1]
    seen_BT = model.drop_words(inputs_BT)
    kept_BT = seen_BT == inputs_BT
    assert kept_BT[:, 0].all()
    assert (seen_BT[~kept_BT] == UNK).all()
    for position in range(1, 10):  # every position alike, within 5 standard deviations of a binomial
        share = float(kept_BT[:, position].double().mean())
        assert abs(share - keep) < 5 * math.sqrt(keep * (1 - keep) / 4000)
    both = float((kept_BT[:, 1] & kept_BT[:, 2]).double().mean())
    assert abs(both - keep**2) < 5 * math.sqrt(keep**2 * (1 - keep**2) / 4000)


def test_keep_rate_zero_leaves_the_start_mark_alone(small: MakeVariant) -> None:
    model = TextVAE(small("annealed", word_keep_rate=0.0), WORDS).train()
    seen_BT = model.drop_words(sentences(50, 6)[:, :-1])
    assert (seen_BT[:, 0] == START).all()
    assert (seen_BT[:, 1:] == UNK).all()


@pytest.mark.parametrize("keep", [0.0, 0.5, 1.0])
def test_no_word_is_dropped_in_evaluation_or_at_keep_rate_one(small: MakeVariant, keep: float) -> None:
    model = TextVAE(small("annealed", word_keep_rate=keep), WORDS)
    inputs_BT = sentences(20, 6)[:, :-1]
    assert torch.equal(model.eval().drop_words(inputs_BT), inputs_BT)
    if keep == 1.0:
        assert torch.equal(model.train().drop_words(inputs_BT), inputs_BT)


def test_targets_are_untouched_by_word_dropout(small: MakeVariant) -> None:
    model = TextVAE(small("annealed", word_keep_rate=0.0), WORDS).train()
    tokens_BT, z_BZ = sentences(5, 6), torch.randn(5, 3)
    before_BT = tokens_BT.clone()
    nll_B = model.reconstruction_nll(tokens_BT, z_BZ)
    assert torch.equal(tokens_BT, before_BT)
    inputs_BT = torch.full((5, 7), UNK)
    inputs_BT[:, 0] = START
    expected_B = -Categorical(logits=model.decoder(inputs_BT, z_BZ)).log_prob(tokens_BT[:, 1:]).sum(1)
    assert torch.allclose(nll_B, expected_B, rtol=1e-5)


@pytest.mark.parametrize("name", variant_names())
def test_reconstruction_counts_every_word_and_the_end_mark(small: MakeVariant, name: str) -> None:
    model = TextVAE(small(name), WORDS).eval()
    tokens_BT, z_BZ = sentences(5, 6), torch.randn(5, 3)
    log_p_BTV = model.decoder(tokens_BT[:, :-1], z_BZ).detach().double().log_softmax(-1)
    for sentence in range(5):
        words = [log_p_BTV[sentence, t, tokens_BT[sentence, t + 1]] for t in range(7)]
        nll = float(model.reconstruction_nll(tokens_BT, z_BZ)[sentence].detach())
        assert nll == pytest.approx(-float(sum(words)), rel=1e-5)


@pytest.mark.parametrize("name", variant_names())
def test_inference_and_generator_share_no_parameter_and_leave_none_out(small: MakeVariant, name: str) -> None:
    model = TextVAE(small(name), WORDS)
    inference = {id(parameter) for parameter in model.inference_parameters()}
    generator = {id(parameter) for parameter in model.generator_parameters()}
    assert not inference & generator
    assert inference | generator == {id(parameter) for parameter in model.parameters()}
    assert generator == {id(parameter) for parameter in model.decoder.parameters()}


def test_a_forward_pass_draws_one_z_a_sentence(small: MakeVariant) -> None:
    model = TextVAE(small("vanilla"), WORDS).train()
    tokens_BT = sentences(5, 6)
    torch.manual_seed(1)
    nll_B, kl_BG = model(tokens_BT)
    torch.manual_seed(1)
    noise_BZ = torch.randn(1, 5, 3)[0]
    posterior = model.posterior(tokens_BT)
    z_BZ = posterior.mean_BZ + posterior.log_variance_BZ.exp().sqrt() * noise_BZ
    assert torch.allclose(nll_B, model.reconstruction_nll(tokens_BT, z_BZ), rtol=1e-5)
    assert kl_BG.shape == (5, 3)
    assert torch.allclose(kl_BG, posterior.kl())


@pytest.mark.parametrize("name", variant_names())
def test_the_seed_alone_sets_the_weights(small: MakeVariant, name: str) -> None:
    def weights(seed: int, **knobs: object) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        return list(TextVAE(small(name, **knobs), WORDS).state_dict().values())

    same = zip(weights(1), weights(1, word_keep_rate=0.3, learning_rate=0.1), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    assert not all(torch.equal(a, b) for a, b in zip(weights(1), weights(2), strict=True))


def test_uniform_initialization_has_its_ranges(small: MakeVariant) -> None:
    variant = small("vanilla", initialization="uniform", init_range=0.02, embedding_range=0.3)
    assert variant.initialization == Uniform(init_range=0.02, embedding_range=0.3)
    for name, parameter in TextVAE(variant, 400).named_parameters():
        limit = 0.3 if "embedding" in name else 0.02
        largest = float(parameter.detach().abs().max())
        assert 0.7 * limit < largest <= limit, name
        assert abs(float(parameter.detach().mean())) < 0.6 * limit
