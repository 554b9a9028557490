import math

import pytest
import torch
from torch.distributions import Categorical

from tests.trainables.models import LABELS, MakeVariant, random_batch
from trainables.model.text_vae import TextVAE
from trainables.parts.initialization import Uniform
from trainables.parts.part import KnobError
from trainables.parts.schedules import Progress
from trainables.text.vocabulary import START, UNK
from trainables.variants import variant_names

WORDS = 16
HALFWAY = Progress(25, 10, 5)
LABEL_NLL = [-math.log(count / sum(LABELS)) for count in LABELS]


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_words_are_kept_at_the_keep_rate(small: MakeVariant, keep: float) -> None:
    model = TextVAE(small("annealed", word_keep_rate=keep), WORDS).train()
    inputs_BT = random_batch(4000, 9).tokens_BT[:, :-1]
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
    seen_BT = model.drop_words(random_batch(50, 6).tokens_BT[:, :-1])
    assert (seen_BT[:, 0] == START).all()
    assert (seen_BT[:, 1:] == UNK).all()


@pytest.mark.parametrize("keep", [0.0, 0.5, 1.0])
def test_no_word_is_dropped_in_evaluation_or_at_keep_rate_one(small: MakeVariant, keep: float) -> None:
    model = TextVAE(small("annealed", word_keep_rate=keep), WORDS)
    inputs_BT = random_batch(20, 6).tokens_BT[:, :-1]
    assert torch.equal(model.eval().drop_words(inputs_BT), inputs_BT)
    if keep == 1.0:
        assert torch.equal(model.train().drop_words(inputs_BT), inputs_BT)


def test_targets_are_untouched_by_word_dropout(small: MakeVariant) -> None:
    model = TextVAE(small("annealed", word_keep_rate=0.0), WORDS).train()
    batch, z_BZ = random_batch(5, 6), torch.randn(5, 3)
    before_BT = batch.tokens_BT.clone()
    nll_B = model.reconstruction_nll(batch, z_BZ)
    assert torch.equal(batch.tokens_BT, before_BT)
    inputs_BT = torch.full((5, 7), UNK)
    inputs_BT[:, 0] = START
    expected_B = -Categorical(logits=model.decoder(inputs_BT, z_BZ)).log_prob(before_BT[:, 1:]).sum(1)
    assert torch.allclose(nll_B, expected_B, rtol=1e-5)


@pytest.mark.parametrize("name", variant_names())
def test_reconstruction_counts_every_word_and_the_end_mark(small: MakeVariant, name: str) -> None:
    model = TextVAE(small(name), WORDS, LABELS).eval()
    batch, z_BZ = random_batch(5, 6), torch.randn(5, model.z_width)
    tokens_BT, labels_B = batch.tokens_BT, batch.labels_B
    log_p_BTV = model.decode(tokens_BT[:, :-1], z_BZ, labels_B).detach().double().log_softmax(-1)
    nll_B = model.reconstruction_nll(batch, z_BZ).detach()
    assert labels_B is not None
    for sentence in range(5):
        words = [log_p_BTV[sentence, t, tokens_BT[sentence, t + 1]] for t in range(7)]
        told = LABEL_NLL[labels_B[sentence]] if name == "conditional" else 0.0
        assert nll_B[sentence].item() == pytest.approx(told - float(sum(words)), rel=1e-5)


@pytest.mark.parametrize("name", variant_names())
def test_inference_and_generator_share_no_parameter_and_leave_none_out(small: MakeVariant, name: str) -> None:
    model = TextVAE(small(name), WORDS, LABELS)
    inference = {id(parameter) for parameter in model.inference_parameters()}
    generator = {id(parameter) for parameter in model.generator_parameters()}
    assert not inference & generator
    assert inference | generator == {id(parameter) for parameter in model.parameters()}
    beside_the_decoder = {
        "conditional": {"condition.told.weight", "condition.prior.weight"},
        "gumbel": {"latent.embed.weight"},
        "vq": {key for key, _ in model.named_parameters() if key.startswith("latent.prior.")},
    }
    for key, parameter in model.named_parameters():
        expected = key.startswith("decoder.") or key in beside_the_decoder.get(name, set())
        assert (id(parameter) in generator) == expected, key


def test_a_forward_pass_draws_one_z_a_sentence(small: MakeVariant) -> None:
    model = TextVAE(small("vanilla"), WORDS).train()
    batch = random_batch(5, 6)
    torch.manual_seed(1)
    terms = model(batch, HALFWAY)
    torch.manual_seed(1)
    noise_BZ = torch.randn(5, 3)
    posterior = model.posterior(batch)
    z_BZ = posterior.mean_BZ + posterior.log_variance_BZ.exp().sqrt() * noise_BZ
    assert torch.allclose(terms.nll_B, model.reconstruction_nll(batch, z_BZ), rtol=1e-5)
    assert terms.kl_BG.shape == (5, 3)
    assert torch.allclose(terms.kl_BG, posterior.kl())
    assert terms.auxiliary.item() == 0.0


@pytest.mark.parametrize("name", variant_names())
def test_draws_from_the_prior_have_the_width_of_z(small: MakeVariant, name: str) -> None:
    model = TextVAE(small(name), WORDS, LABELS).eval()
    labels_B = torch.tensor([0, 2, 1, 1])
    first, second = (model.sample_prior(4, labels_B, torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.shape == (4, model.z_width)
    assert torch.equal(first, second)
    assert model.decode(torch.full((4, 1), START), first, labels_B).shape == (4, 1, WORDS)


@pytest.mark.parametrize("name", variant_names())
def test_a_new_decoder_is_as_if_built_anew_and_the_rest_stays(small: MakeVariant, name: str) -> None:
    variant = small(name, initialization="uniform", init_range=0.03)
    model = TextVAE(variant, WORDS, LABELS)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    torch.manual_seed(31)
    model.reset_decoder(variant)
    torch.manual_seed(31)
    fresh = variant.decoder.build(WORDS, variant.sizes, model.z_width + variant.condition.width)
    variant.initialization.apply(fresh)
    expected = fresh.state_dict()
    for key, tensor in model.state_dict().items():
        if key.startswith("decoder."):
            assert torch.equal(tensor, expected[key.removeprefix("decoder.")]), key
            assert not torch.equal(tensor, before[key]), key
        else:
            assert torch.equal(tensor, before[key]), key


@pytest.mark.parametrize("name", variant_names())
def test_the_seed_alone_sets_the_weights(small: MakeVariant, name: str) -> None:
    def weights(seed: int, **knobs: object) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        return list(TextVAE(small(name, **knobs), WORDS, LABELS).state_dict().values())

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


def test_a_model_checks_its_combination(small: MakeVariant) -> None:
    with pytest.raises(KnobError, match="latent=none needs encoder=none"):
        TextVAE(small("vanilla", latent="none"), WORDS)
