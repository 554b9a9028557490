import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainables.models import MakeVariant
from trainables.parts.updates import BatchLoss, Rule
from trainables.text.batches import Batch
from trainables.text.splits import Corpus
from trainables.training.loop import Training
from trainables.training.records import RUNNING_DECAY, RunningNLL


def after(losses: list[float]) -> RunningNLL:
    running = RunningNLL()
    for loss in losses:
        running.update(loss)
    return running


def test_the_running_nll_by_hand() -> None:
    assert RunningNLL().share == 1.0
    assert after([4.0]) == RunningNLL(first=4.0, mean=4.0, least=4.0)
    # 4, then 0.99 · 4 + 0.01 · 2 = 3.98, then 0.99 · 3.98 + 0.01 · 9 = 4.0302: the least stays.
    running = after([4.0, 2.0, 9.0])
    assert (running.first, running.mean, running.least) == pytest.approx((4.0, 4.0302, 3.98))
    assert running.share == pytest.approx(3.98 / 4)


@given(st.lists(st.floats(0.01, 20), min_size=1, max_size=60))
def test_the_share_never_rises_and_is_the_least_mean(losses: list[float]) -> None:
    running, means, shares = RunningNLL(), [losses[0]], []
    for loss in losses:
        running.update(loss)
        means.append(RUNNING_DECAY * means[-1] + (1 - RUNNING_DECAY) * loss)
        shares.append(running.share)
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1.0
    assert running.share == pytest.approx(min(means) / losses[0], rel=1e-9)
    assert min(losses) / losses[0] - 1e-9 <= running.share <= 1


def test_a_loss_that_is_constant_keeps_the_weight() -> None:
    assert after([3.0] * 500).share == pytest.approx(1.0)
    assert after([3.0, *[1.5] * 2000]).share == pytest.approx(0.5, rel=1e-6)


@pytest.mark.parametrize("name", ["beta", "aggressive"])
def test_the_weight_of_every_step_follows_the_nll_so_far(
    small: MakeVariant, varied: Corpus, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    variant = small(name, schedule="balanced", beta=0.7, learning_rate=0.05)
    training = Training(variant, varied, epochs=2, seed=5)
    seen: list[BatchLoss] = []
    gradients = training.gradients

    def watched(batch: Batch, *, inference_alone: bool = False) -> BatchLoss:
        seen.append(gradients(batch, inference_alone=inference_alone))
        return seen[-1]

    monkeypatch.setattr(training, "gradients", watched)
    last = [training.run_epoch().kl_weight for _ in range(2)]
    mean = least = first = math.nan
    for step, loss in enumerate(seen):
        share = 1.0 if step == 0 else least / first
        weight = (loss.objective - loss.nll) / loss.kl
        assert weight.item() == pytest.approx(0.7 * share, rel=1e-3), step
        per_word = loss.nll.item() / loss.words
        if step == 0:
            first = mean = least = per_word
        mean = 0.99 * mean + 0.01 * per_word
        least = min(least, mean)
    assert last[1] == pytest.approx(0.7 * least / first, rel=1e-5)
    assert last[1] < last[0] < 0.7
    assert isinstance(training.rule, Rule)
    assert (len(seen) > 2 * training.steps_per_epoch) == (name == "aggressive")


def test_other_schedules_keep_no_running_nll(small: MakeVariant, varied: Corpus) -> None:
    training = Training(small("annealed"), varied, epochs=1, seed=5)
    training.run_epoch()
    assert math.isnan(training.running_nll.first)
    assert training.progress.nll_share == 1.0


def test_figures_have_their_names(small: MakeVariant, varied: Corpus) -> None:
    training = Training(small("vq"), varied, epochs=1, seed=5)
    named = training.run_epoch().named()
    assert {"mutual_information_batch", "codebook_perplexity", "seconds", "inner_steps"} <= set(named)
    final = training.final_metrics(iw_samples=1, iw_sentences=5)
    names = final.named()
    assert names["test/codebook_perplexity"] == final.test.codebook_perplexity
    assert (names["test/iw_samples"], names["test/iw_sentences"]) == (1, 5)
    assert names["test/iw_nll_se"] == final.importance_weighted.iw_nll_se
    other = dataclasses.replace(final.test, codebook_perplexity=None)
    assert "codebook_perplexity" not in other.named()
