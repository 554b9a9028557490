"""Sentences out of p(x|z): greedy, ancestral sampling, beam search.

Each step reads the whole prefix again, O(T²) in the length of a sentence: that works for any decoder, and
the sentences asked for are few.

Shape suffixes: B sentences, R those of them still open, K hypotheses of a beam, T words so far with `<s>`,
Z latent units, V vocabulary. Log probabilities are in nats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from trainables.text.vocabulary import END, PAD, START, Vocabulary

BEAM_WIDTH = 5
LOGITS_AT_ONCE = 2**24
NEVER_SAID = (PAD, START)


class Generator(Protocol):
    """A model that can speak, such as `TextVAE`, in evaluation mode."""

    def decode(self, inputs_BT: Tensor, z_BZ: Tensor, labels_B: Tensor | None = None) -> Tensor:
        """logits_BTV of the word after each of the inputs."""


@dataclass(frozen=True)
class Sentence:
    """What was generated: word ids without `<s>`, and log p(x|z) under the model.

    The last word is `</s>`, unless the sentence was cut off at the limit.
    """

    ids: tuple[int, ...]
    log_probability: float

    @property
    def ended(self) -> bool:
        return self.ids[-1:] == (END,)

    def text(self, vocabulary: Vocabulary) -> str:
        """The words with spaces between, without marks."""
        return " ".join(vocabulary.decode(word for word in self.ids if word != END))


def greedy(model: Generator, z_BZ: Tensor, labels_B: Tensor | None = None, *, limit: int) -> list[Sentence]:
    """The most probable word at each step; at most `limit` words, `</s>` counted."""
    return _word_by_word(model, z_BZ, labels_B, limit, lambda log_p_RV: log_p_RV.argmax(1))


def ancestral(
    model: Generator,
    z_BZ: Tensor,
    labels_B: Tensor | None = None,
    *,
    limit: int,
    generator: torch.Generator | None = None,
) -> list[Sentence]:
    """Each word drawn from the model's distribution, at temperature 1 and without the words never said."""
    return _word_by_word(
        model,
        z_BZ,
        labels_B,
        limit,
        lambda log_p_RV: torch.multinomial(log_p_RV.exp(), 1, generator=generator)[:, 0],
    )


@torch.no_grad()
def beam(
    model: Generator, z_BZ: Tensor, labels_B: Tensor | None = None, *, limit: int, width: int = BEAM_WIDTH
) -> list[Sentence]:
    """The most probable sentence that a beam of `width` open hypotheses finds, without a length penalty.

    A hypothesis ends where that is among the `width` most probable continuations; it then takes no place
    in the beam. The search is over when no open hypothesis is more probable than the best ended one. Where
    none has ended within `limit` words, the best open one is cut off.
    """
    found: list[Sentence | None] = [None] * len(z_BZ)
    at_R = torch.arange(len(z_BZ), device=z_BZ.device)
    words_RKT = torch.full((len(z_BZ), width, 1), START, device=z_BZ.device)
    scores_RK = torch.full((len(z_BZ), width), -torch.inf, dtype=torch.float64, device=z_BZ.device)
    scores_RK[:, 0] = 0.0
    for _ in range(limit):
        sentence_RK = at_R.repeat_interleave(width)
        log_p = _next_words(model, words_RKT.flatten(0, 1), z_BZ, labels_B, sentence_RK)
        total_RKV = scores_RK.unsqueeze(2) + log_p.view(*scores_RK.shape, -1)
        least_R11 = total_RKV.flatten(1).topk(width)[0][:, -1:, None]
        ends_RKV = total_RKV.where(total_RKV >= least_R11, -torch.inf)
        _keep_better(found, at_R, words_RKT, ends_RKV[:, :, END], END)
        total_RKV[:, :, END] = -torch.inf
        scores_RK, place_RK = total_RKV.flatten(1).topk(width)
        parent_RK, word_RK = place_RK // total_RKV.shape[2], place_RK % total_RKV.shape[2]
        prefix_RKT = words_RKT.gather(1, parent_RK.unsqueeze(2).expand(-1, -1, words_RKT.shape[2]))
        words_RKT = torch.cat((prefix_RKT, word_RK.unsqueeze(2)), dim=2)
        best_R = [_score(found[number]) for number in at_R.tolist()]
        open_R = scores_RK[:, 0] > torch.tensor(best_R, dtype=torch.float64, device=z_BZ.device)
        at_R, words_RKT, scores_RK = at_R[open_R], words_RKT[open_R], scores_RK[open_R]
        if not len(at_R):
            break
    unended_R = torch.tensor([found[number] is None for number in at_R.tolist()], device=z_BZ.device).bool()
    _keep_better(found, at_R[unended_R], words_RKT[unended_R], scores_RK[unended_R])
    return [sentence for sentence in found if sentence is not None]


def _score(sentence: Sentence | None) -> float:
    return -torch.inf if sentence is None else sentence.log_probability


def _keep_better(
    found: list[Sentence | None], at_R: Tensor, words_RKT: Tensor, scores_RK: Tensor, *last: int
) -> None:
    """Puts the best hypothesis of each row, `last` added, in the place of a less probable sentence."""
    if not len(at_R):
        return
    score_R, best_R = scores_RK.max(1)
    for row, (number, score, best) in enumerate(
        zip(at_R.tolist(), score_R.tolist(), best_R.tolist(), strict=True)
    ):
        if score > _score(found[number]):
            found[number] = Sentence((*words_RKT[row, best, 1:].tolist(), *last), score)


@torch.no_grad()
def _word_by_word(
    model: Generator,
    z_BZ: Tensor,
    labels_B: Tensor | None,
    limit: int,
    choose: Callable[[Tensor], Tensor],
) -> list[Sentence]:
    """Sentences grown by the words that `choose` takes from log_p_RV."""
    words_BT = torch.full((len(z_BZ), 1), START, device=z_BZ.device)
    score_B = torch.zeros(len(z_BZ), dtype=torch.float64, device=z_BZ.device)
    at_R = torch.arange(len(z_BZ), device=z_BZ.device)
    for _ in range(limit):
        log_p_RV = _next_words(model, words_BT[at_R], z_BZ, labels_B, at_R)
        word_R = choose(log_p_RV)
        score_B[at_R] += log_p_RV.gather(1, word_R.unsqueeze(1))[:, 0]
        word_B = torch.full_like(words_BT[:, 0], PAD)
        word_B[at_R] = word_R
        words_BT = torch.cat((words_BT, word_B.unsqueeze(1)), dim=1)
        at_R = at_R[word_R != END]
        if not len(at_R):
            break
    return [
        Sentence(tuple(word for word in words if word != PAD), score)
        for words, score in zip(words_BT[:, 1:].tolist(), score_B.tolist(), strict=True)
    ]


def _next_words(
    model: Generator, prefix_RT: Tensor, z_BZ: Tensor, labels_B: Tensor | None, sentence_R: Tensor
) -> Tensor:
    """log p of the word after each prefix of the sentences' z as a matrix RV in float64, −∞ for words that
    are never said; a bounded number of logits at a time."""
    chunks: list[Tensor] = []
    start, rows = 0, 1  # the first prefix shows how large the vocabulary is
    while start < len(prefix_RT):
        at = sentence_R[start : start + rows]
        labels = None if labels_B is None else labels_B[at]
        logits_RTV = model.decode(prefix_RT[start : start + rows], z_BZ[at], labels)
        chunks.append(logits_RTV[:, -1].double().log_softmax(1))
        start += rows
        rows = max(1, LOGITS_AT_ONCE // logits_RTV[0].numel())
    log_p_RV = torch.cat(chunks)
    log_p_RV[:, NEVER_SAID] = -torch.inf
    return log_p_RV
