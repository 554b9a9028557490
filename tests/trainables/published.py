"""The training of He et al. 2019 written out plainly, to compare the product with.

Of the product only the names of the parameters are used. Gates, convolutions, noise, objective, clipping,
SGD, the aggressive loop and learning-rate control are spelt out; only differentiation is torch's. Noise is
drawn from torch's generator in the published order: z, dropout on the embedding, dropout on the output.

Shape suffixes: B sentences, T tokens, E embedding, H hidden, Z latent units, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

Parameters = dict[str, Tensor]


def dropped(x: Tensor, rate: float) -> Tensor:
    """Inverted dropout; the noise as `trainables.parts.dropout` draws it, 16 bits of 64 for each element."""
    if not rate:
        return x
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    uniform = (words.view(torch.int16)[: x.numel()].view(x.shape).to(x.dtype) + 2**15) / 2**16
    return x * (uniform >= rate) / (1 - rate)


def lstm(parameters: Parameters, prefix: str, x_BTE: Tensor, hidden_BH: Tensor, cell_BH: Tensor) -> Tensor:
    """All hidden states of one LSTM layer."""
    w_x, w_h, b_x, b_h = (
        parameters[f"{prefix}.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    states = []
    for step in range(x_BTE.shape[1]):
        gates = x_BTE[:, step] @ w_x.T + b_x + hidden_BH @ w_h.T + b_h
        into, keep, new, out = gates.chunk(4, dim=1)
        cell_BH = torch.sigmoid(keep) * cell_BH + torch.sigmoid(into) * torch.tanh(new)
        hidden_BH = torch.sigmoid(out) * torch.tanh(cell_BH)
        states.append(hidden_BH)
    return torch.stack(states).transpose(0, 1)


def linear(parameters: Parameters, prefix: str, x: Tensor) -> Tensor:
    return x @ parameters[f"{prefix}.weight"].T + parameters[f"{prefix}.bias"]


def dilated_block(parameters: Parameters, prefix: str, x_BTH: Tensor, dilation: int) -> Tensor:
    """1×1, ReLU, causal convolution of three taps `dilation` apart, ReLU, 1×1, plus the input."""
    narrow = linear(parameters, f"{prefix}.narrow", x_BTH).relu()
    weights = parameters[f"{prefix}.dilated.weight"].chunk(3, dim=1)
    positions = []
    for position in range(x_BTH.shape[1]):
        total = parameters[f"{prefix}.dilated.bias"]
        for back, weight in zip((2, 1, 0), weights, strict=True):
            if position - back * dilation >= 0:
                total = total + narrow[:, position - back * dilation] @ weight.T
        positions.append(total.expand(len(x_BTH), -1).relu())
    return x_BTH + linear(parameters, f"{prefix}.widen", torch.stack(positions, dim=1))


@dataclass
class Published:
    """A model and its SGD. `dilations` makes the decoder the convolutional one; `clipped` counts the
    gradients that were, `inner_counts` has the inner steps of each aggressive update."""

    parameters: Parameters
    dropout: float = 0.5
    dilations: Sequence[int] = ()
    rate: float = 1.0
    clip: float = 5.0
    window: int = 15
    limit: int = 100
    divisor: int = 0
    inner_counts: list[int] = field(default_factory=list)
    clipped: int = 0

    def posterior(self, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance: the encoder reads the whole sentence, both linear in its last state."""
        embedded_BTE = self.parameters["encoder.embedding.weight"][tokens_BT]
        width = self.parameters["encoder.lstm.weight_hh_l0"].shape[1]
        zero_BH = torch.zeros(len(tokens_BT), width)
        last_BH = lstm(self.parameters, "encoder.lstm", embedded_BTE, zero_BH, zero_BH)[:, -1]
        mean_BZ, log_variance_BZ = (last_BH @ self.parameters["latent.linear.weight"].T).chunk(2, dim=1)
        return mean_BZ, log_variance_BZ

    def logits(self, inputs_BT: Tensor, z_BZ: Tensor) -> Tensor:
        parameters = self.parameters
        embedded_BTE = dropped(parameters["decoder.embedding.weight"][inputs_BT], self.dropout)
        z_BTZ = z_BZ.unsqueeze(1).expand(-1, inputs_BT.shape[1], -1)
        joined = torch.cat((embedded_BTE, z_BTZ), dim=2)
        if self.dilations:
            hidden_BTH = linear(parameters, "decoder.input", joined)
            for number, dilation in enumerate(self.dilations):
                hidden_BTH = dilated_block(parameters, f"decoder.blocks.{number}", hidden_BTH, dilation)
            return linear(parameters, "decoder.output", dropped(hidden_BTH, self.dropout))
        cell_BH = z_BZ @ parameters["decoder.start.weight"].T
        hidden_BTH = lstm(parameters, "decoder.lstm", joined, cell_BH.tanh(), cell_BH)
        return dropped(hidden_BTH, self.dropout) @ parameters["decoder.output.weight"].T

    def losses(self, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        """NLL and KL of each sentence, in nats."""
        mean_BZ, log_variance_BZ = self.posterior(tokens_BT)
        z_BZ = mean_BZ + torch.exp(log_variance_BZ / 2) * torch.randn(mean_BZ.shape)
        logits_BTV, targets_BT1 = self.logits(tokens_BT[:, :-1], z_BZ), tokens_BT[:, 1:].unsqueeze(2)
        nll_B = (logits_BTV.logsumexp(2) - logits_BTV.gather(2, targets_BT1).squeeze(2)).sum(1)
        kl_B = 0.5 * (mean_BZ**2 + log_variance_BZ.exp() - log_variance_BZ - 1).sum(1)
        return nll_B, kl_B

    def gradients(self, tokens_BT: Tensor, kl_weight: float) -> tuple[Parameters, float]:
        """Of the mean over the batch (unless there is a divisor), clipped over all parameters together; and
        the sum in nats."""
        leaves = {name: value.clone().requires_grad_() for name, value in self.parameters.items()}
        kept, self.parameters = self.parameters, leaves
        nll_B, kl_B = self.losses(tokens_BT)
        self.parameters = kept
        loss_B = nll_B + kl_weight * kl_B
        found = torch.autograd.grad(loss_B.sum() / (self.divisor or len(loss_B)), list(leaves.values()))
        norm = math.sqrt(sum(float(gradient.double().square().sum()) for gradient in found))
        factor = min(1.0, self.clip / (norm + 1e-6))
        self.clipped += factor < 1
        return {name: factor * gradient for name, gradient in zip(leaves, found, strict=True)}, float(
            loss_B.detach().sum()
        )

    def step(self, gradients: Parameters, *, decoder: bool) -> None:
        for name, gradient in gradients.items():
            if name.startswith("decoder.") == decoder:
                self.parameters[name] = self.parameters[name] - self.rate * gradient

    def joint_update(self, tokens_BT: Tensor, kl_weight: float) -> None:
        gradients, _ = self.gradients(tokens_BT, kl_weight)
        self.step(gradients, decoder=False)
        self.step(gradients, decoder=True)

    def aggressive_update(self, tokens_BT: Tensor, kl_weight: float, another: Callable[[], Tensor]) -> None:
        """Encoder steps until a window's mean loss per word is worse than the one before, below `limit` of
        them; then one decoder step on the batch."""
        number, before, nats, words, inner_BT = 1, 1e4, 0.0, 0, tokens_BT
        taken = 0
        while number < self.limit:
            gradients, loss = self.gradients(inner_BT, kl_weight)
            self.step(gradients, decoder=False)
            taken += 1
            nats += loss
            words += inner_BT.shape[0] * (inner_BT.shape[1] - 1)
            if number % self.window == 0:
                if before - nats / words < 0:
                    break
                before, nats, words = nats / words, 0.0, 0
            inner_BT = another()
            number += 1
        self.inner_counts.append(taken)
        gradients, _ = self.gradients(tokens_BT, kl_weight)
        self.step(gradients, decoder=True)


def equal_length_batches(sentences: Sequence[Sequence[int]], batch_size: int) -> list[Tensor]:
    """Full batches and a remainder for each length, shortest first."""
    lengths = sorted({len(tokens) for tokens in sentences})
    groups = [[tokens for tokens in sentences if len(tokens) == length] for length in lengths]
    return [
        torch.tensor(group[start : start + batch_size])
        for group in groups
        for start in range(0, len(group), batch_size)
    ]


def kl_weights(updates: int, start: float, warm_up: float, updates_per_epoch: float) -> list[float]:
    """Of the updates 1, 2, …: raised before each of them."""
    weight, found = start, []
    for _ in range(updates):
        weight = min(1.0, weight + (1.0 - start) / (warm_up * updates_per_epoch))
        found.append(weight)
    return found


def batch_information(mean_BZ: Tensor, log_variance_BZ: Tensor, z_BZ: Tensor) -> float:
    """Mutual information within a batch: mean negative entropy less mean log q(z), q(z) over the batch."""
    count = len(mean_BZ)
    entropy = log_aggregate = 0.0
    for i in range(count):
        entropy += sum(0.5 * (math.log(2 * math.pi) + 1 + float(v)) for v in log_variance_BZ[i]) / count
        densities = [
            sum(
                -0.5 * (math.log(2 * math.pi) + float(v) + (float(z) - float(m)) ** 2 / math.exp(float(v)))
                for z, m, v in zip(z_BZ[i], mean_BZ[b], log_variance_BZ[b], strict=True)
            )
            for b in range(count)
        ]
        top = max(densities)
        total = sum(math.exp(density - top) for density in densities)
        log_aggregate += (top + math.log(total) - math.log(count)) / count
    return -entropy - log_aggregate


def still_aggressive(information: Sequence[float]) -> bool:
    """Whether the phase goes on after epochs with this information: it ends for good at the first that is
    below the one before, or below 0 at the start."""
    lasts, before = True, 0.0
    for value in information:
        lasts = lasts and value - before >= 0
        before = value
    return lasts


@dataclass
class Control:
    """Learning-rate control: what holds after an epoch, counted from 0."""

    rate: float = 1.0
    best: float = 1e4
    reference: float = 1e4
    worse: int = 0
    decays: int = 0

    def epoch(self, number: int, loss: float) -> tuple[bool, bool, bool]:
        """Whether to save the weights, whether to go back to those saved, whether to stop."""
        save, back = loss < self.best, False
        self.best = min(self.best, loss)
        if loss > self.reference:
            self.worse += 1
            if self.worse >= 2 and number >= 15:
                self.reference, self.worse, back = loss, 0, True
                self.rate *= 0.5
                self.decays += 1
        else:
            self.worse, self.reference = 0, loss
        return save, back, self.decays == 5
