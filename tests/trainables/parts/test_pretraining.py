"""The encoder trained first at KL weight 0: what the phase does, and what comes after it."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.trainables.models import CPU, MakeVariant
from tests.trainables.runs import figures, final, same, scripted, weights
from trainables.evaluation.evaluate import evaluate
from trainables.parts.part import KnobError
from trainables.parts.pretraining import Pretraining
from trainables.parts.schedules import Progress
from trainables.text.batches import Batch, training_batches
from trainables.text.splits import Corpus
from trainables.training import loop as training_module
from trainables.training.loop import Training


def first_batch(corpus: Corpus) -> Batch:
    return next(iter(training_batches(corpus.train, 8, np.random.default_rng(2))))


def by_part(training: Training, part: str) -> dict[str, Tensor]:
    state = training.model.state_dict()
    return {key: tensor.clone() for key, tensor in state.items() if key.startswith(f"{part}.")}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> bool:
    return any(not torch.equal(tensor, after[key]) for key, tensor in before.items())


# the phase


@pytest.mark.parametrize(
    "knobs",
    [{"free_bits": 9.0}, {"kl_target": 5.0}, {"schedule": "constant", "beta": 7.0}, {"kl_start": 0.9}],
    ids=str,
)
def test_the_kl_has_no_influence(small: MakeVariant, varied: Corpus, knobs: dict[str, Any]) -> None:
    runs = []
    for settings in ({}, knobs):
        variant = small("pretrained", **{"pretraining_epochs": 2, "free_bits": 0.0, **settings})
        training = Training(variant, varied, epochs=4, seed=5)
        metrics = [figures(training.run_epoch()) for _ in range(2)]
        runs.append((metrics, weights(training)))
        training.run_epoch()
        runs[-1] += (weights(training),)
    assert runs[0][0] == runs[1][0]
    assert same(runs[0][1], runs[1][1])
    assert not same(runs[0][2], runs[1][2])  # and afterwards it has
    assert [epoch["kl_weight"] for epoch in runs[0][0]] == [0.0, 0.0]


def test_the_objective_of_the_phase_is_the_nll_at_a_sample(small: MakeVariant, varied: Corpus) -> None:
    training = Training(small("pretrained", clip_norm=1e9), varied, epochs=2, seed=5)
    batch = first_batch(varied)
    torch.manual_seed(4)
    loss = training.gradients(batch)
    model = training.model
    torch.manual_seed(4)
    posterior = model.posterior(batch)
    noise_BZ = torch.randn(len(batch.tokens_BT), 3)
    z_BZ = posterior.mean_BZ + posterior.log_variance_BZ.exp().sqrt() * noise_BZ
    nll_B = model.reconstruction_nll(batch, z_BZ)
    expected = torch.autograd.grad(nll_B.sum() / 8, list(model.parameters()))
    assert loss.objective.item() == pytest.approx(nll_B.sum().item(), rel=1e-6)
    assert loss.kl.item() == pytest.approx(posterior.kl().sum().item(), rel=1e-5)
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-6)


# what comes after it


@pytest.mark.parametrize("reset", [True, False])
def test_the_decoder_is_new_afterwards_and_the_encoder_kept(
    small: MakeVariant, varied: Corpus, monkeypatch: pytest.MonkeyPatch, reset: bool
) -> None:
    variant = small("pretrained", pretraining_epochs=2, reset_decoder=reset)
    training = Training(variant, varied, epochs=3, seed=5)
    start = by_part(training, "decoder"), by_part(training, "encoder")
    trained: list[tuple[dict[str, Tensor], ...]] = []

    def watched(*arguments: Any) -> Any:  # evaluation stands between training and what ends the phase
        parts = ("decoder", "encoder", "latent")
        trained.append(tuple(by_part(training, part) for part in parts))
        return evaluate(*arguments)

    monkeypatch.setattr(training_module, "evaluate", watched)
    training.run_epoch()
    assert not moved(trained[0][0], by_part(training, "decoder"))  # it is not over yet
    training.run_epoch()
    assert moved(start[0], trained[0][0])
    assert moved(start[1], trained[0][1])
    decoder = by_part(training, "decoder")
    assert moved(trained[1][0], decoder) == reset
    assert not moved(trained[1][1], by_part(training, "encoder"))
    assert not moved(trained[1][2], by_part(training, "latent"))
    if reset:  # all of it, and not to where it began
        assert all(not torch.equal(tensor, trained[1][0][key]) for key, tensor in decoder.items())
        assert all(not torch.equal(tensor, start[0][key]) for key, tensor in decoder.items())
        bound = 1 / 10**0.5  # of an LSTM of 10 hidden units, as torch draws it
        assert 0.8 * bound < decoder["decoder.lstm.weight_hh_l0"].abs().max() <= bound


def test_the_optimisers_forget(small: MakeVariant, varied: Corpus) -> None:
    training = Training(small("pretrained", pretraining_epochs=1), varied, epochs=2, seed=5)
    training.run_epoch()
    for optimizer in (training.inference_optimizer, training.generator_optimizer):
        assert optimizer.moments == {}
    before = {key: tensor.clone() for key, tensor in training.model.named_parameters()}
    training.model.train()
    training.gradients(first_batch(varied))
    training.step_inference()
    training.step_generator()
    for key, parameter in training.model.named_parameters():  # Adam's first step is the rate itself
        large = parameter.grad.abs() > 1e-3
        step = (parameter.detach() - before[key])[large]
        assert torch.allclose(step, -0.002 * parameter.grad[large].sign(), rtol=1e-2), key


def test_the_schedule_starts_after_it(small: MakeVariant, varied: Corpus) -> None:
    variant = small("pretrained", pretraining_epochs=2, anneal_rate=0.25, free_bits=0.0)
    training = Training(variant, varied, epochs=5, seed=5)
    steps = training.steps_per_epoch
    found = []
    for epoch in range(1, 6):
        full = len(varied.train) / variant.batch_size
        assert training.progress == Progress(max(0, epoch - 3) * steps, steps, 3, full_batches=full)
        found.append(training.run_epoch().kl_weight)
    one = 1 / steps
    assert found == pytest.approx([0, 0, 0.25 * (1 - one), 0.25 * (2 - one), 0.25 * (3 - one)])


def test_a_temperature_waits_for_it(small: MakeVariant, varied: Corpus) -> None:
    variant = small("gumbel", pretraining_epochs=2, temperature_start=2.0, temperature_end=0.5)
    training = Training(variant, varied, epochs=4, seed=5)
    temperatures = []
    for _ in range(4):
        temperatures.append(variant.latent.temperature(training.progress))
        training.run_epoch()
    assert temperatures == pytest.approx([2.0, 2.0, 2.0, 1.0])
    assert variant.latent.temperature(training.progress) == pytest.approx(0.5)


def test_a_balanced_weight_starts_at_beta_after_it(small: MakeVariant, varied: Corpus) -> None:
    variant = small("beta", schedule="balanced", beta=0.8, pretraining_epochs=2, learning_rate=0.05)
    training = Training(variant, varied, epochs=3, seed=5)
    training.run_epoch()
    assert training.progress.nll_share < 1
    training.run_epoch()
    assert training.progress.nll_share == 1.0
    assert training.run_epoch().kl_weight < 0.8


def test_the_best_checkpoint_comes_from_after_it(
    small: MakeVariant, varied: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(small("pretrained", pretraining_epochs=2), varied, epochs=4, seed=5)
    metrics, _ = evaluate(training.model, varied.valid, CPU)
    with monkeypatch.context() as patch:
        patch.setattr(training_module, "evaluate", scripted([1.0, 2.0, 9.0, 8.0], metrics))
        kept = []
        for epoch in range(1, 5):
            training.run_epoch()
            kept.append(weights(training))
            assert training.best_epoch == (0, 0, 3, 4)[epoch - 1]
    assert training.final_metrics(iw_samples=1, iw_sentences=2).best_epoch == 4
    assert same(weights(training), kept[3])


def test_learning_rate_control_begins_after_it(
    small: MakeVariant, varied: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = {"optimizer": "sgd", "learning_rate": 0.4, "decay_from": 0, "decay_patience": 2}
    training = Training(small("pretrained", pretraining_epochs=3, **control), varied, epochs=8, seed=5)
    metrics, _ = evaluate(training.model, varied.valid, CPU)
    losses = [1.0, 2.0, 3.0, 9.0, 9.5, 9.6, 9.7, 9.8]  # the decay comes after epoch 6
    monkeypatch.setattr(training_module, "evaluate", scripted(losses, metrics))
    assert [training.run_epoch().learning_rate for _ in range(8)] == pytest.approx([0.4] * 6 + [0.2] * 2)


@pytest.mark.parametrize("done", [1, 2, 3])
def test_resumed_in_the_phase_at_its_end_and_after_it(small: MakeVariant, varied: Corpus, done: int) -> None:
    variant = small("pretrained", pretraining_epochs=2, dropout=0.2, word_keep_rate=0.7)
    whole = Training(variant, varied, epochs=4, seed=5)
    state: dict[str, Any] = {}
    for epoch in range(4):
        if epoch == done:
            state = deepcopy(whole.state())
        metrics = figures(whole.run_epoch())
    torch.manual_seed(99)
    other = Training(variant, varied, epochs=4, seed=8)
    other.restore(state)
    for _ in range(4 - done):
        again = figures(other.run_epoch())
    assert again == metrics
    assert same(weights(other), weights(whole))
    assert final(other) == final(whole)


# what is refused


@pytest.mark.parametrize(("pretraining", "epochs"), [(1, 1), (4, 4), (9, 4)])
def test_something_of_the_training_must_be_left(
    small: MakeVariant, varied: Corpus, pretraining: int, epochs: int
) -> None:
    rule = f"pretraining_epochs must be below the {epochs} epochs, got {pretraining}"
    with pytest.raises(KnobError, match=rule):
        Training(small("pretrained", pretraining_epochs=pretraining), varied, epochs=epochs, seed=5)
    Training(small("pretrained", pretraining_epochs=epochs - 1), varied, epochs=epochs, seed=5)


def test_epochs_are_not_negative() -> None:
    with pytest.raises(KnobError, match="pretraining_epochs must be >= 0, got -1"):
        Pretraining(pretraining_epochs=-1)
