import itertools
import math
from collections import Counter

import pytest
import torch
from torch import Tensor, nn

from trainables.latents.code_prior import CodePrior


def prior(entries: int, width: int = 6) -> CodePrior:
    torch.manual_seed(3)
    module = CodePrior(entries, width).double()
    with torch.no_grad():  # larger than at first, so that distant influence is no rounding
        for parameter in module.parameters():
            nn.init.uniform_(parameter, -0.9, 0.9)
    return module


def all_codes(codes: int, entries: int) -> Tensor:
    return torch.tensor(list(itertools.product(range(entries), repeat=codes)))


@pytest.mark.parametrize(("codes", "entries"), [(1, 2), (1, 7), (2, 5), (3, 4), (5, 3), (9, 2)])
def test_probabilities_of_all_code_vectors_sum_to_one(codes: int, entries: int) -> None:
    log_p_BG = prior(entries).log_probability(all_codes(codes, entries))
    assert log_p_BG.shape == (entries**codes, codes)
    assert log_p_BG.sum(1).exp().sum().item() == pytest.approx(1.0, abs=1e-12)
    assert log_p_BG.sum(1).exp().std() > 1e-4  # and they are not all the same


def test_the_chain_rule_code_by_code() -> None:
    # p(c_g | c_<g) from the joint: the sum over all ends of the vectors that begin alike.
    module = prior(3)
    vectors = all_codes(3, 3)
    joint = module.log_probability(vectors).sum(1).exp().view(3, 3, 3)
    for (a, b, c), log_p_G in zip(vectors.tolist(), module.log_probability(vectors), strict=True):
        conditional = [
            joint[a].sum() / joint.sum(),
            joint[a, b].sum() / joint[a].sum(),
            joint[a, b, c] / joint[a, b].sum(),
        ]
        assert log_p_G.exp().tolist() == pytest.approx([p.item() for p in conditional], rel=1e-10)


def test_later_codes_change_no_probability() -> None:
    module = prior(4)
    codes_BG = torch.randint(4, (20, 8))
    log_p_BG = module.log_probability(codes_BG)
    for position in range(8):
        changed_BG = codes_BG.clone()
        changed_BG[:, position] = (codes_BG[:, position] + 1) % 4
        moved_G = (module.log_probability(changed_BG) - log_p_BG).abs().amax(0)
        assert (moved_G[:position] < 1e-14).all()
        assert (moved_G[position:] > 1e-6).all()


def test_a_code_is_seen_by_the_seven_after_it() -> None:
    module, embedded = prior(4), []
    hook = module.embedding.register_forward_hook(lambda _, __, output: embedded.append(output))
    log_p_BG = module.log_probability(torch.randint(4, (6, 12)))
    hook.remove()
    for position in range(12):
        (gradient_BGH,) = torch.autograd.grad(log_p_BG[:, position].sum(), embedded[0], retain_graph=True)
        seen = gradient_BGH.abs().amax((0, 2)).nonzero().flatten().tolist()
        # Input 0 is the start, input g the code g − 1: codes g − 7 to g − 1 are seen.
        assert seen == list(range(max(0, position - 6), position + 1))


def test_codes_are_drawn_with_their_probabilities() -> None:
    module, count = prior(3), 20_000
    drawn = module.sample(count, 3, torch.Generator().manual_seed(4))
    assert drawn.shape == (count, 3)
    counts = Counter(map(tuple, drawn.tolist()))
    vectors = all_codes(3, 3)
    expected = count * module.log_probability(vectors).sum(1).exp()
    chi_square = sum(
        (counts[tuple(vector)] - mean) ** 2 / mean
        for vector, mean in zip(vectors.tolist(), expected.tolist(), strict=True)
    )
    assert expected.min() > 20
    assert chi_square < 54.1  # 26 degrees of freedom, p = 0.001


def test_draws_repeat_with_their_generator() -> None:
    module, before = prior(5), torch.get_rng_state()
    first, second = (module.sample(7, 4, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_prior_learns_the_entropy_of_its_codes() -> None:
    # The first code is even over three, the second repeats it: H = ln 3.
    torch.manual_seed(2)
    module = CodePrior(3, 8)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for _ in range(300):
        first_B1 = torch.randint(3, (64, 1))
        loss = -module.log_probability(first_B1.expand(-1, 2)).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    even = torch.arange(3).unsqueeze(1).expand(-1, 2)
    entropy = -module.log_probability(even).sum(1).mean().item()
    assert math.log(3) <= entropy < math.log(3) + 0.05
