import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.trainables.models import CPU, MakeVariant, random_batch, rows
from tests.trainables.runs import figures, final, same, scripted, weights
from trainables.evaluation.evaluate import evaluate
from trainables.model.variant import Variant
from trainables.parts.schedules import Progress
from trainables.text.batches import Batch, training_batches
from trainables.text.splits import Corpus
from trainables.training import loop as training_module
from trainables.training.loop import DivergedError, Training
from trainables.variants import variant_names

# seeds


@pytest.mark.parametrize("name", variant_names())
def test_the_seed_decides_everything(small: MakeVariant, varied: Corpus, name: str) -> None:
    def run(seed: int) -> tuple[list[dict[str, float]], list[Tensor], Any]:
        training = Training(small(name), varied, epochs=2, seed=seed)
        metrics = [figures(training.run_epoch()) for _ in range(2)]
        return metrics, weights(training), final(training)

    (first, first_weights, first_final), (second, second_weights, second_final) = run(5), run(5)
    assert first == second
    assert same(first_weights, second_weights)
    assert first_final == second_final
    other, other_weights, _ = run(6)
    assert first != other
    assert not same(first_weights, other_weights)


# Every schedule and every form of the rate, on the same model as vanilla.
SAME_MODEL: list[tuple[str, dict[str, Any]]] = [
    ("annealed", {}),
    ("annealed", {"anneal_shape": "logistic", "anneal_rate": 0.4}),
    ("cyclical", {}),
    ("cyclical", {"cycles": 1, "ramp_share": 1.0}),
    ("beta", {}),
    ("beta", {"schedule": "balanced"}),
    ("free_bits", {"posterior_bias": True}),
    ("kl_target", {"posterior_bias": True}),
    ("aggressive", {}),
    ("pretrained", {"posterior_bias": True}),
]


def watched_run(
    variant: Variant, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[Tensor], list[list[int]], list[Tensor]]:
    """Weights at the start, sentences of every batch of two epochs, weights at the end."""
    training = Training(variant, corpus, epochs=2, seed=5)
    start, seen, update = weights(training), list[list[int]](), training.rule.update

    def watched(learner: Any, batch: Batch) -> Any:
        seen.append(batch.indices_B.tolist())
        return update(learner, batch)

    monkeypatch.setattr(training.rule, "update", watched)
    training.run_epoch()
    training.run_epoch()
    return start, seen, weights(training)


@pytest.mark.parametrize(("name", "knobs"), SAME_MODEL, ids=str)
def test_a_comparison_of_schedules_changes_the_schedule_alone(
    small: MakeVariant, varied: Corpus, monkeypatch: pytest.MonkeyPatch, name: str, knobs: dict[str, Any]
) -> None:
    start, seen, end = watched_run(small("vanilla"), varied, monkeypatch)
    other_start, other_seen, other_end = watched_run(small(name, **knobs), varied, monkeypatch)
    assert same(start, other_start)
    assert seen == other_seen
    assert not same(end, other_end)
    half = len(seen) // 2
    assert seen[:half] != seen[half:]


def test_the_noise_of_another_schedule_is_the_same(small: MakeVariant, varied: Corpus) -> None:
    # At a learning rate of nothing the draws of z and of dropped words show: both runs have the same NLL.
    still = {"optimizer": "sgd", "learning_rate": 1e-20, "word_keep_rate": 0.5, "dropout": 0.2}
    runs = []
    for name in ("vanilla", "annealed", "cyclical", "beta"):
        training = Training(small(name, **still), varied, epochs=2, seed=5)
        runs.append(
            [(epoch.train_nll, epoch.train_kl) for epoch in (training.run_epoch(), training.run_epoch())]
        )
    assert all(run == runs[0] for run in runs)
    assert runs[0][0] != runs[0][1]


def test_the_schedule_moves_with_every_generator_step(small: MakeVariant, varied: Corpus) -> None:
    training = Training(small("aggressive", anneal_rate=0.5, kl_start=0.2), varied, epochs=3, seed=5)
    steps = training.steps_per_epoch
    assert steps == len(list(training_batches(varied.train, 8, np.random.default_rng(0))))
    for epoch in (1, 2):
        metrics = training.run_epoch()
        assert training.progress == Progress(epoch * steps, steps, 3, full_batches=45 / 8)
        assert metrics.kl_weight == pytest.approx(min(1, 0.2 + 0.5 * (epoch - 1 / steps)))
        assert metrics.cost.optimizer_steps == epoch * steps


def test_the_last_weight_of_a_cycle_is_reported_not_the_next_one(small: MakeVariant, varied: Corpus) -> None:
    training = Training(small("cyclical", cycles=2), varied, epochs=2, seed=5)
    assert [training.run_epoch().kl_weight for _ in range(2)] == [1.0, 1.0]


def test_cost_counts_predicted_words_and_inner_steps(small: MakeVariant, varied: Corpus) -> None:
    plain = Training(small("vanilla"), varied, epochs=1, seed=5)
    metrics = plain.run_epoch()
    assert (metrics.cost.tokens, metrics.cost.inner_steps) == (varied.train.words, 0)
    aggressive = Training(small("aggressive"), varied, epochs=1, seed=5)
    cost = aggressive.run_epoch().cost
    assert cost.inner_steps >= 2 * cost.optimizer_steps
    assert cost.tokens > 2 * varied.train.words
    assert cost.seconds > 0


# gradients


@pytest.mark.parametrize("name", ["language_model", "vanilla"])
def test_every_sentence_weighs_the_same(small: MakeVariant, varied: Corpus, name: str) -> None:
    training = Training(small(name, batch_size=6, clip_norm=1e9), varied, epochs=1, seed=5)
    model = training.model.train()
    latent = model.latent
    if name == "vanilla":  # no noise in z, so that batches and sentences alone give the same gradients
        with torch.no_grad():
            latent.linear.weight[3:].zero_()
            latent.linear.bias[3:].fill_(-40.0)
    batches = list(training_batches(varied.train, 6, np.random.default_rng(2)))
    assert len({len(batch.indices_B) for batch in batches}) > 1
    summed = {key: torch.zeros_like(parameter) for key, parameter in model.named_parameters()}
    for batch in batches:
        training.gradients(batch)
        for key, parameter in model.named_parameters():
            if parameter.grad is not None:
                summed[key] += parameter.grad
    model.zero_grad()
    for row in rows(varied.train):
        terms = model(row, training.progress)
        (terms.nll_B.sum() + terms.kl_BG.sum()).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        scale = max(1.0, float(parameter.grad.abs().max()))
        assert float((6 * summed[key] - parameter.grad).abs().max()) < 1e-4 * scale, key


@pytest.mark.parametrize(("weighting", "share"), [("sentences", 1 / 7), ("equal", 1 / 5)])
def test_how_much_a_small_batch_counts(
    small: MakeVariant, varied: Corpus, weighting: str, share: float
) -> None:
    variant = small("language_model", batch_size=7, batch_weighting=weighting, clip_norm=1e9)
    training = Training(variant, varied, epochs=1, seed=5)
    batch = random_batch(5, 4)  # of at most 7
    loss = training.gradients(batch)
    nll_B = training.model(batch, training.progress).nll_B
    assert loss.objective.item() == pytest.approx(nll_B.sum().item(), rel=1e-6)  # the figures know no weight
    parameters = list(training.model.parameters())
    for parameter, summed in zip(parameters, torch.autograd.grad(nll_B.sum(), parameters), strict=True):
        assert torch.allclose(parameter.grad, share * summed, atol=1e-6)


def test_gradients_are_fresh_and_clipped_over_all_parameters(small: MakeVariant, varied: Corpus) -> None:
    training = Training(small("language_model", clip_norm=0.05), varied, epochs=1, seed=5)
    batch = next(iter(training_batches(varied.train, 8, np.random.default_rng(2))))
    gradients = []
    for _ in range(2):
        training.gradients(batch)
        parameters = [p.grad.clone() for p in training.model.parameters() if p.grad is not None]
        norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in parameters))
        assert norm == pytest.approx(0.05, rel=1e-4)
        gradients.append(parameters)
    assert same(*gradients)


# divergence, decay, best checkpoint


@pytest.mark.parametrize("knobs", [{"learning_rate": 1e6}, {"optimizer": "sgd", "learning_rate": 1e30}])
def test_an_absurd_learning_rate_diverges(small: MakeVariant, varied: Corpus, knobs: dict[str, Any]) -> None:
    training = Training(small("vanilla", **knobs), varied, epochs=3, seed=5)
    with pytest.raises(DivergedError, match="in epoch 1: training NLL"):
        training.run_epoch()


def test_a_decay_lowers_the_rate_and_goes_back_to_the_best_weights(
    small: MakeVariant, varied: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = small(
        "vanilla",
        optimizer="sgd",
        learning_rate=0.8,
        decay_from=3,
        decay_patience=2,
        max_decays=2,
        decay_factor=0.25,
    )
    training = Training(variant, varied, epochs=50, seed=5)
    metrics, _ = evaluate(training.model, varied.valid, CPU)
    # Better at epochs 1, 2 and 6; epochs 3, 4 and then 7, 8 are the two in a row.
    losses = [9.0, 8.0, 8.5, 8.4, 8.3, 7.0, 7.1, 7.5]
    monkeypatch.setattr(training_module, "evaluate", scripted(losses, metrics))
    rates, after, trained = [], [], []
    # The rule is told of the epoch before learning-rate control is.
    monkeypatch.setattr(training.rule, "after_epoch", lambda *_: trained.append(weights(training)))
    while not training.finished:
        rates.append(training.run_epoch().learning_rate)
        after.append(weights(training))
    assert rates == pytest.approx([0.8, 0.8, 0.8, 0.8, 0.2, 0.2, 0.2, 0.2])
    kept = [same(a, b) for a, b in zip(trained, after, strict=True)]
    assert kept == [True, True, True, False, True, True, True, False]
    assert same(after[3], trained[1])
    assert same(after[7], trained[5])
    assert (training.best_epoch, training.best_loss) == (6, 7.0)
    training.gradients(next(iter(training_batches(varied.train, 8, np.random.default_rng(2)))))
    training.step_inference()
    training.step_generator()
    for parameter, before in zip(training.model.parameters(), after[7], strict=True):
        assert parameter.grad is not None
        assert torch.allclose(parameter, before - 0.05 * parameter.grad, rtol=0, atol=1e-7)


def test_final_metrics_are_those_of_the_best_epoch(
    small: MakeVariant, varied: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(small("vanilla"), varied, epochs=3, seed=5)
    metrics, _ = evaluate(training.model, varied.valid, CPU)
    with monkeypatch.context() as patch:
        patch.setattr(training_module, "evaluate", scripted([5.0, 4.0, 6.0], metrics))
        kept = []
        for _ in range(3):
            training.run_epoch()
            kept.append(weights(training))
    final = training.final_metrics(iw_samples=2, iw_sentences=5)
    assert final.best_epoch == 2
    assert same(weights(training), kept[1])
    assert not same(kept[1], kept[2])
    expected, losses_N = evaluate(training.model, varied.test, CPU)
    assert final.test == expected
    assert final.losses_N.tolist() == losses_N.tolist()
    assert final.losses_N.dtype == np.float32
    assert final.valid == evaluate(training.model, varied.valid, CPU)[0]
    assert (final.importance_weighted.samples, final.importance_weighted.sentences) == (2, 5)


def test_training_figures_are_means_over_sentences(small: MakeVariant, varied: Corpus) -> None:
    variant = small("vanilla", optimizer="sgd", learning_rate=1e-12)
    training = Training(variant, varied, epochs=1, seed=5)
    with torch.no_grad():  # no noise in z
        training.model.latent.linear.weight.zero_()
        training.model.latent.linear.bias[:] = torch.tensor([0.0, 0.0, 2.0, -40.0, -40.0, -40.0])
    metrics = training.run_epoch()
    expected, _ = evaluate(training.model, varied.train, CPU)
    assert metrics.train_nll == pytest.approx(expected.nll, rel=1e-5)
    assert metrics.train_kl == pytest.approx(2 + 3 * 0.5 * 39, rel=1e-5)


def test_names_of_metrics(small: MakeVariant, varied: Corpus) -> None:
    training = Training(small("vanilla"), varied, epochs=1, seed=5)
    names = set(training.run_epoch().named())
    valid = {"nll", "kl", "nll_plus_kl", "perplexity", "mutual_information", "active_units"}
    assert names >= valid | {"kl_weight"}
    assert names >= {"train/nll", "train/kl", "learning_rate", "tokens", "optimizer_steps"}
    final_names = set(training.final_metrics(iw_samples=1, iw_sentences=2).named())
    assert final_names >= {"best_epoch", "best/nll", "test/nll_plus_kl", "test/iw_nll", "test/iw_nll_se"}


def test_no_epochs_are_refused(small: MakeVariant, varied: Corpus) -> None:
    with pytest.raises(ValueError, match="epochs must be >= 1, got 0"):
        Training(small("vanilla"), varied, epochs=0, seed=5)
