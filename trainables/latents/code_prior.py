"""An autoregressive prior over codes, of masked convolutions: the text analogue of the PixelCNN prior of van
den Oord et al. 2017.

Shape suffixes: B sentences, G codes of a sentence, C entries of the codebook, H channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.parts.convolutions import CausalBlock

DILATIONS = (1, 2)


class CodePrior(nn.Module):
    """p(c_1, …, c_G) = Π_g p(c_g | c_<g); a position sees itself by a learnt start and those before it.

    Seven codes back are seen, all of them for up to 8 codes.
    """

    def __init__(self, codebook_size: int, width: int) -> None:
        super().__init__()
        self.start = codebook_size
        self.embedding = nn.Embedding(codebook_size + 1, width)
        self.blocks = nn.Sequential(*(CausalBlock(width, dilation) for dilation in DILATIONS))
        self.output = nn.Linear(width, codebook_size)

    def log_probability(self, codes_BG: Tensor) -> Tensor:
        """log p(c_g | c_<g) as a matrix BG, in nats."""
        before_BG = functional.pad(codes_BG[:, :-1], (1, 0), value=self.start)
        log_probability_BGC = self._logits(before_BG).log_softmax(2)
        return log_probability_BGC.gather(2, codes_BG.unsqueeze(2)).squeeze(2)

    def sample(self, sentences: int, codes: int, generator: torch.Generator | None = None) -> Tensor:
        """codes_BG, one position after the other."""
        device = self.output.weight.device
        chosen = torch.full((sentences, 1), self.start, device=device)
        for _ in range(codes):
            probability_BC = self._logits(chosen)[:, -1].softmax(1)
            chosen = torch.cat((chosen, torch.multinomial(probability_BC, 1, generator=generator)), dim=1)
        return chosen[:, 1:]

    def _logits(self, before_BG: Tensor) -> Tensor:
        logits_BGC: Tensor = self.output(self.blocks(self.embedding(before_BG)))
        return logits_BGC
