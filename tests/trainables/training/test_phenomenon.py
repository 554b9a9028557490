"""The embedded corpus shows what it is for: collapse, and a remedy that is worth its latent variable."""

import numpy as np
import pytest

from trainables.common.metrics import standard_error
from trainables.text.grammar import embedded_corpus
from trainables.training.loop import FinalMetrics, Training
from trainables.variants import load_variant

EPOCHS = 12
CORPUS = embedded_corpus(0)


def trained(name: str, **knobs: str) -> FinalMetrics:
    training = Training(load_variant(name).with_knobs(knobs), CORPUS, epochs=EPOCHS, seed=0)
    while not training.finished:
        training.run_epoch()
    return training.final_metrics(iw_samples=20, iw_sentences=200)


@pytest.mark.slow
def test_the_plain_vae_collapses() -> None:
    vanilla, baseline = trained("vanilla").test, trained("language_model").test
    assert vanilla.kl < 0.1
    assert vanilla.active_units == 0
    assert vanilla.nll_plus_kl == pytest.approx(baseline.nll_plus_kl, abs=0.3)


@pytest.mark.slow
def test_a_decoder_that_sees_less_beats_its_language_model() -> None:
    remedy, baseline = trained("dilated"), trained("language_model", decoder="dilated")
    gain = (baseline.losses_N - remedy.losses_N).astype(np.float64)
    assert gain.mean() > 3 * standard_error(gain), "over sentences; over seeds the sweep says"
    assert remedy.test.kl > 0.5
    assert remedy.test.active_units > 0
    weighted = remedy.importance_weighted
    assert CORPUS.entropy_floor is not None
    assert weighted.iw_nll > CORPUS.entropy_floor - 3 * weighted.iw_nll_se
