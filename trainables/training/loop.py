"""One training loop for all variants.

A `Training` is a variant on a corpus with a seed: it runs an epoch at a time, and its state between
epochs can be saved and restored; on a CPU the restored training continues bit for bit.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch

from trainables.evaluation.evaluate import evaluate
from trainables.evaluation.importance_weighting import importance_weighted_nll
from trainables.latents.gaussian import NoLatent
from trainables.model.text_vae import TextVAE, TrainingTerms
from trainables.model.variant import Variant
from trainables.parts.optimizers import DecayState, clip
from trainables.parts.schedules import Progress
from trainables.parts.updates import BatchLoss
from trainables.text.batches import Batch, count_batches, random_batch, training_batches
from trainables.text.splits import Corpus
from trainables.training.collapse import annealed, dead_epochs
from trainables.training.convergence import still_to_gain
from trainables.training.records import Cost, EpochMetrics, FinalMetrics, RunningNLL

HOPELESS = 1000.0
_KEPT = ("cost", "running_nll", "epoch", "history", "decay", "best_epoch", "best_loss", "best_weights")


class DivergedError(ArithmeticError):
    """The loss is no longer finite, or `HOPELESS` times that of guessing each word at random."""


class Training:
    """A variant being trained.

    The same seed gives the same initial weights and the same batches to every variant with the same
    model: batches and inner batches are drawn from generators of their own. Noise of the model comes from
    torch's global generator, so one process trains one variant at a time.

    Args:
        epochs: planned: what schedules are made for, and the length of the training.
        max_epochs: if given, validation decides after the planned epochs when the training ends, at the
            latest after so many: the learning rate is lowered wherever nothing improves any more, and in the
            end the training given up (see `Optimizer`). The KL weight stays where the schedule ended.
    """

    def __init__(
        self,
        variant: Variant,
        corpus: Corpus,
        *,
        epochs: int,
        seed: int,
        device: str = "cpu",
        max_epochs: int | None = None,
    ) -> None:
        if epochs < 1:
            raise ValueError(f"epochs must be >= 1, got {epochs}")
        if max_epochs is not None and max_epochs < epochs:
            raise ValueError(f"max_epochs must be >= epochs, {epochs}, got {max_epochs}")
        variant.pretraining.check(epochs)
        self.variant, self.corpus, self.epochs = variant, corpus, epochs
        self.max_epochs = max_epochs or epochs
        before = variant.pretraining.pretraining_epochs
        self.optimizer = (
            variant.optimizer if max_epochs is None else variant.optimizer.patient(epochs - before)
        )
        self.device = torch.device(device)
        torch.manual_seed(seed)
        self.model = TextVAE(variant, len(corpus.vocabulary), corpus.label_counts).to(self.device)
        self.parameters = list(self.model.parameters())
        self.generator_parameters = list(self.model.generator_parameters())
        self.inference_optimizer = self.optimizer.build(self.model.inference_parameters())
        self.generator_optimizer = self.optimizer.build(self.generator_parameters)
        self.rule = variant.updates.rule()
        self.batch_rng, self.inner_rng = (
            np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2)
        )
        self.steps_per_epoch = count_batches(corpus.train, variant.batch_size)
        self.cost = Cost()
        self.running_nll = RunningNLL()
        self.epoch = 0
        self.history: list[EpochMetrics] = []
        self.decay = DecayState()
        self.best_epoch = 0
        self.best_loss = math.inf
        self.best_weights = copy.deepcopy(self.model.state_dict())
        self.after_update: Callable[[], None] | None = None

    @property
    def finished(self) -> bool:
        """Whether the epochs are done or learning-rate control has given up."""
        return self.epoch >= self.max_epochs or self.optimizer.exhausted(self.decay)

    @property
    def pretraining(self) -> bool:
        """Whether the KL counts nothing still."""
        return self.epoch < self.variant.pretraining.pretraining_epochs

    @property
    def progress(self) -> Progress:
        """Progress of the training proper, which begins after the pretraining."""
        return self._progress_at(self.cost.optimizer_steps)

    @cached_property
    def annealed(self) -> int:
        """Epochs after which the KL weight is where it ends."""
        planned = range(1, self.epochs + 1)
        return annealed(
            [
                0.0
                if epoch <= self.variant.pretraining.pretraining_epochs
                else self.variant.rate.schedule(self._progress_at(epoch * self.steps_per_epoch - 1))
                for epoch in planned
            ]
        )

    @property
    def dead_epochs(self) -> int:
        """For how many epochs in a row, up to the last, nothing has come through the latent variable though
        the KL weight had come to where it ends; 0 for a model without one."""
        return 0 if isinstance(self.variant.latent, NoLatent) else dead_epochs(self.history, self.annealed)

    def _progress_at(self, steps: int) -> Progress:
        before = self.variant.pretraining.pretraining_epochs
        return Progress(
            max(0, steps - before * self.steps_per_epoch),
            self.steps_per_epoch,
            self.epochs - before,
            self.running_nll.share,
            len(self.corpus.train) / self.variant.batch_size,
        )

    def run_epoch(self) -> EpochMetrics:
        """Trains for one epoch and evaluates on the validation split.

        Raises:
            DivergedError: when the loss in training or on validation is not finite, or beyond hope.
        """
        start = time.perf_counter()
        pretraining = self.pretraining
        nll, kl = self._train()
        valid, _ = evaluate(self.model, self.corpus.valid, self.device)
        worst = (
            HOPELESS
            * self.corpus.valid.words
            / len(self.corpus.valid)
            * math.log(len(self.corpus.vocabulary))
        )
        if not (math.isfinite(nll + kl) and valid.nll_plus_kl < worst):
            raise DivergedError(
                f"loss not finite or beyond hope in epoch {self.epoch + 1}: training NLL {nll}, KL {kl}, "
                f"validation NLL + KL {valid.nll_plus_kl}"
            )
        self.epoch += 1
        last_step = dataclasses.replace(self.progress, step=max(0, self.progress.step - 1))
        weight = 0.0 if pretraining else self.variant.rate.schedule(last_step)
        rate = self._learning_rate
        if pretraining:
            self._end_pretraining()
        else:
            self.rule.after_epoch(self.epoch, valid)
            self._keep_best(valid.nll_plus_kl)
        self.cost.seconds += time.perf_counter() - start
        self.cost.inner_steps = self.rule.state.inner_steps
        metrics = EpochMetrics(self.epoch, valid, nll, kl, weight, rate, dataclasses.replace(self.cost))
        self.history.append(metrics)
        return metrics

    def final_metrics(self, *, iw_samples: int = 100, iw_sentences: int = 200) -> FinalMetrics:
        """Evaluates the best validation checkpoint on validation and test; the model is left at it."""
        self.model.load_state_dict(self.best_weights)
        valid, _ = evaluate(self.model, self.corpus.valid, self.device)
        test, losses_N = evaluate(self.model, self.corpus.test, self.device)
        weighted = importance_weighted_nll(
            self.model, self.corpus.test, self.device, samples=iw_samples, sentences=iw_sentences
        )
        return FinalMetrics(self.best_epoch, self.still_to_gain, valid, test, weighted, losses_N)

    @property
    def still_to_gain(self) -> float:
        """An estimate of how much lower validation NLL + KL would come in a longer training."""
        proper = self.history[self.variant.pretraining.pretraining_epochs :]
        losses = [epoch.valid.nll_plus_kl for epoch in proper]
        rates = [epoch.learning_rate for epoch in proper]
        return still_to_gain(losses, rates, ended=self.optimizer.exhausted(self.decay))

    def gradients(self, batch: Batch, *, inference_alone: bool = False) -> BatchLoss:
        """Gradients of the objective, of all parameters or those of the inference network, clipped jointly. A
        batch counts by its number of sentences, so that before clipping every sentence of the corpus weighs
        the same; with `batch_weighting` "equal" it counts as much as any other."""
        batch = batch.to(self.device)
        for parameter in self.generator_parameters:
            parameter.requires_grad_(not inference_alone)
        sentences, length = batch.tokens_BT.shape
        terms: TrainingTerms = self.model(batch, self.progress)
        nll = terms.nll_B.mean()
        objective = nll + terms.auxiliary
        if not self.pretraining:
            objective = objective + self.variant.rate(terms.kl_BG, self.progress)
        for parameter in self.parameters:
            parameter.grad = None
        equal = self.variant.batch_weighting == "equal"
        weight = 1.0 if equal else sentences / self.variant.batch_size
        torch.autograd.backward(objective * weight)
        clip(self.parameters, self.variant.clip_norm)
        words = sentences * (length - 1)
        self.cost.tokens += words
        if self.variant.rate.schedule.follows_nll:
            self.running_nll.update(float(nll.detach()) / (length - 1))
        return BatchLoss(
            objective.detach() * sentences, terms.nll_B.detach().sum(), terms.kl_BG.detach().sum(), words
        )

    def step_inference(self) -> None:
        self.inference_optimizer.step()

    def step_generator(self) -> None:
        self.generator_optimizer.step()
        self.cost.optimizer_steps += 1

    def random_batch(self) -> Batch:
        return random_batch(
            self.corpus.train, self.variant.batch_size, self.inner_rng, fixed=self.variant.fixed_batches
        )

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on; a snapshot, safe to keep."""
        return copy.deepcopy(
            {
                "model": self.model.state_dict(),
                "inference_optimizer": self.inference_optimizer.state(),
                "generator_optimizer": self.generator_optimizer.state(),
                "rule": self.rule.state,
                "batch_rng": self.batch_rng.bit_generator.state,
                "inner_rng": self.inner_rng.bit_generator.state,
                "torch_rng": torch.get_rng_state(),
                "cuda_rng": torch.cuda.get_rng_state(self.device) if self._on_gpu else None,
            }
            | {name: getattr(self, name) for name in _KEPT}
        )

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from a `state()` of a training with the same configuration."""
        state = copy.deepcopy(state)
        self.model.load_state_dict(state["model"])
        self.inference_optimizer.restore(state["inference_optimizer"])
        self.generator_optimizer.restore(state["generator_optimizer"])
        self.rule.state = state["rule"]
        self.batch_rng.bit_generator.state = state["batch_rng"]
        self.inner_rng.bit_generator.state = state["inner_rng"]
        torch.set_rng_state(state["torch_rng"])
        if self._on_gpu and state["cuda_rng"] is not None:
            torch.cuda.set_rng_state(state["cuda_rng"], self.device)
        for name in _KEPT:
            setattr(self, name, state[name])

    def _train(self) -> tuple[float, float]:
        """One pass over the training split; mean NLL and KL in training mode."""
        self.model.train()
        nll, kl = (torch.zeros((), device=self.device) for _ in range(2))
        variant = self.variant
        for batch in training_batches(
            self.corpus.train, variant.batch_size, self.batch_rng, fixed=variant.fixed_batches
        ):
            loss = self.rule.update(self, batch)
            nll += loss.nll
            kl += loss.kl
            if self.after_update is not None:
                self.after_update()
        sentences = len(self.corpus.train)
        return float(nll) / sentences, float(kl) / sentences

    def _end_pretraining(self) -> None:
        """After the last epoch of it: a new decoder, if so configured, optimisers and a running NLL without a
        memory."""
        if self.pretraining:
            return
        self.running_nll = RunningNLL()
        if self.variant.pretraining.reset_decoder:
            self.model.reset_decoder(self.variant)
        for optimizer in (self.inference_optimizer, self.generator_optimizer):
            optimizer.forget()

    def _keep_best(self, loss: float) -> None:
        """Keeps the best weights; on a learning-rate decay goes back to them."""
        if loss < self.best_loss:
            self.best_epoch, self.best_loss = self.epoch, loss
            self.best_weights = copy.deepcopy(self.model.state_dict())
        decays = self.decay.decays
        proper = self.epoch - self.variant.pretraining.pretraining_epochs
        self.decay = self.optimizer.after_epoch(self.decay, proper, loss)
        if self.decay.decays > decays:
            self.model.load_state_dict(self.best_weights)
            for optimizer in (self.inference_optimizer, self.generator_optimizer):
                optimizer.learning_rate = self._learning_rate

    @property
    def _on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def _learning_rate(self) -> float:
        return self.optimizer.learning_rate * self.optimizer.scale(self.decay)
