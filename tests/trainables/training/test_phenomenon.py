"""The embedded corpus shows what it is for: collapse, and remedies that beat a converged baseline."""

import math

import numpy as np
import pytest

from trainables.common.metrics import standard_error
from trainables.text.grammar import ENTROPY, OCCASIONS, PLACES, embedded_corpus
from trainables.training.loop import FinalMetrics, Training
from trainables.training.presets import EMBEDDED
from trainables.variants import load_variant

CORPUS = embedded_corpus(0)
MARGIN = 0.005


def trained(name: str, **knobs: object) -> FinalMetrics:
    """As the default sweep trains it."""
    variant = load_variant(name)
    variant = variant.with_knobs({**EMBEDDED.knobs_for(variant), **knobs})
    training = Training(variant, CORPUS, epochs=20, max_epochs=100, seed=1)
    while not training.finished:
        training.run_epoch()
    return training.final_metrics(iw_samples=20, iw_sentences=200)


@pytest.mark.slow
def test_the_plain_vae_collapses_and_remedies_beat_the_converged_baseline() -> None:
    baseline, vanilla = trained("language_model"), trained("vanilla")
    assert baseline.still_to_gain <= MARGIN * baseline.test.nll_plus_kl
    # What is named out of the decoder's sight it cannot know.
    blind = ENTROPY + math.log(len(PLACES)) + math.log(len(OCCASIONS))
    assert blind < baseline.test.nll_plus_kl < blind + 0.5
    assert (vanilla.test.kl < 0.1, vanilla.test.active_units) == (True, 0)
    assert vanilla.test.nll_plus_kl == pytest.approx(baseline.test.nll_plus_kl, abs=0.2)
    for name in ("annealed", "aggressive"):
        remedy = trained(name)
        gain = (baseline.losses_N - remedy.losses_N).astype(np.float64)
        assert gain.mean() > 1.0, "over sentences; over seeds the sweep says"
        assert gain.mean() > 3 * standard_error(gain)
        assert remedy.test.kl > 1.0
        assert remedy.test.active_units > 0
        weighted = remedy.importance_weighted
        assert weighted.iw_nll > ENTROPY - 3 * weighted.iw_nll_se
