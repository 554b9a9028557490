"""What a checkpoint is examined for: the IW-NLL of its best weights, texts, the means of active units."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem
from ray import tune

from tests.trainables.conftest import MakeVariant
from trainables.checkpoints import CHECKPOINT, LocalCheckpoint, examine_checkpoint
from trainables.evaluation.evaluate import evaluate
from trainables.evaluation.examination import Examination, Request, examine
from trainables.evaluation.importance_weighting import importance_weighted_nll
from trainables.evaluation.information import active, active_units
from trainables.evaluation.texts import write_texts
from trainables.latents.posteriors import ZeroPosterior
from trainables.latents.vq import QuantizedPosterior
from trainables.model.text_vae import TextVAE
from trainables.model.variant import Variant
from trainables.text.splits import Corpus
from trainables.variants import load_variant

CPU = torch.device("cpu")
QUICK = Request(iw_samples=3, iw_sentences=10, texts=False)
ALL = replace(QUICK, texts=True)


def examined(variant: Variant, corpus: Corpus, request: Request) -> tuple[TextVAE, Examination]:
    torch.manual_seed(11)
    model = TextVAE(variant, len(corpus.vocabulary), corpus.label_counts).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2.0)
    return model, examine(variant, model.state_dict(), corpus, request)


@pytest.mark.parametrize("name", ["vanilla", "conditional", "vq", "gumbel", "batch_norm", "language_model"])
def test_the_figures_are_those_of_the_weights(small: MakeVariant, embedded: Corpus, name: str) -> None:
    model, found = examined(small(name), embedded, QUICK)
    expected = importance_weighted_nll(model, embedded.test, CPU, samples=3, sentences=10)
    assert found.weighted.iw_nll_N.tolist() == expected.iw_nll_N.tolist()
    assert (found.weighted.samples, found.weighted.sentences) == (3, 10)
    assert (found.texts, found.train, found.test) == (None, None, None)


def test_the_whole_split_where_no_number_of_sentences_is_given(small: MakeVariant, varied: Corpus) -> None:
    _, found = examined(small("vanilla"), varied, replace(QUICK, iw_sentences=None))
    assert found.weighted.indices_N.tolist() == list(range(len(varied.test)))


def test_texts_and_means_of_the_active_units(small: MakeVariant, embedded: Corpus) -> None:
    model, found = examined(small("vanilla"), embedded, ALL)
    assert found.texts == write_texts(model, embedded, CPU)
    assert found.train is not None
    assert found.test is not None
    metrics, _ = evaluate(model, embedded.train, CPU)
    assert found.train.mean_ND.shape == (len(embedded.train), metrics.active_units)
    assert found.test.mean_ND.shape == (len(embedded.test), metrics.active_units)
    # Order does not matter, but each mean must stand beside its own label.
    counts = np.bincount(found.train.labels_N, minlength=8).tolist()
    assert tuple(counts) == embedded.label_counts
    for number in (0, 11, 29):
        one = replace(embedded, test=embedded.test.take(np.array([number])))
        alone = examine(small("vanilla"), model.state_dict(), one, ALL).test
        assert alone is not None
        same = np.isclose(found.test.mean_ND, alone.mean_ND, atol=1e-5).all(axis=1)
        assert alone.labels_N[0] in found.test.labels_N[same]


def test_an_inactive_latent_has_nothing_to_show(small: MakeVariant, embedded: Corpus) -> None:
    variant = small("vanilla")
    model = TextVAE(variant, len(embedded.vocabulary))
    with torch.no_grad():
        model.latent.linear.weight.mul_(1e-3)
    found = examine(variant, model.state_dict(), embedded, ALL)
    assert found.train is not None
    assert found.train.mean_ND.shape == (len(embedded.train), 0)


@pytest.mark.parametrize("name", ["vanilla", "conditional"])
def test_no_means_where_there_are_no_labels_or_they_are_told(
    small: MakeVariant, unlabelled: Corpus, embedded: Corpus, name: str
) -> None:
    _, found = examined(small(name), embedded if name == "conditional" else unlabelled, ALL)
    assert found.texts is not None
    assert (found.train, found.test) == (None, None)


def test_active_units_are_those_of_the_mask() -> None:
    spread = torch.tensor([0.2, 0.05, 0.0])
    mean_NGD = (spread * torch.tensor([[-1.0], [1.0], [-1.0], [1.0]])).unsqueeze(2)
    assert active(mean_NGD).tolist() == [True, False, False]  # variances 4/3 of 0.04, 0.0025 and 0
    assert active_units(mean_NGD) == 1
    assert active(mean_NGD[:1]).tolist() == [False] * 3


@pytest.mark.parametrize(
    ("name", "posterior"), [("vq", QuantizedPosterior), ("language_model", ZeroPosterior)]
)
def test_one_sample_stands_for_all_where_the_latent_is_certain(
    small: MakeVariant, embedded: Corpus, monkeypatch: pytest.MonkeyPatch, name: str, posterior: type
) -> None:
    torch.manual_seed(1)
    model = TextVAE(small(name), len(embedded.vocabulary), embedded.label_counts)
    drawn: list[int] = []
    hidden = model.decoder.hidden

    def counting(inputs_BT: torch.Tensor, z_BZ: torch.Tensor) -> torch.Tensor:
        drawn.append(len(inputs_BT))
        return hidden(inputs_BT, z_BZ)

    monkeypatch.setattr(model.decoder, "hidden", counting)
    short = importance_weighted_nll(model, embedded.test, CPU, samples=6, sentences=20)
    assert sum(drawn) == 20
    monkeypatch.setattr(posterior, "certain", False)
    drawn.clear()
    long = importance_weighted_nll(model, embedded.test, CPU, samples=6, sentences=20)
    assert sum(drawn) == 120
    assert short.samples == 6
    assert short.iw_nll_N == pytest.approx(long.iw_nll_N, rel=1e-6)
    _, losses_N = evaluate(model, embedded.test, CPU)
    assert short.iw_nll_N == pytest.approx(losses_N[short.indices_N], rel=1e-5)


def test_a_checkpoint_is_examined_by_its_best_weights(
    small: MakeVariant, embedded: Corpus, tmp_path: Path
) -> None:
    variant = small("annealed")
    best, last = (TextVAE(variant, len(embedded.vocabulary)).state_dict() for _ in range(2))
    torch.save({"model": last, "best_weights": best}, tmp_path / CHECKPOINT)
    changed = {knob: value for knob, value in variant.knobs().items()
               if load_variant("annealed").knobs()[knob] != value}  # fmt: skip
    config = {"variant": "annealed", "knobs": changed}
    anywhere = tune.Checkpoint(tmp_path.name, SubTreeFileSystem(str(tmp_path.parent), LocalFileSystem()))
    expected = examine(variant, best, embedded, QUICK)
    for checkpoint in (LocalCheckpoint(str(tmp_path)), anywhere):
        found = examine_checkpoint(checkpoint, config, embedded, QUICK)
        assert found.weighted.iw_nll_N.tolist() == expected.weighted.iw_nll_N.tolist()


@pytest.mark.parametrize("left", [True, False])
def test_a_checkpoint_that_is_not_there(embedded: Corpus, tmp_path: Path, left: bool) -> None:
    checkpoint = LocalCheckpoint(str(tmp_path / "gone")) if left else None
    with pytest.raises(FileNotFoundError, match=r"training\.pt" if left else "it left no checkpoint"):
        examine_checkpoint(checkpoint, {"variant": "vanilla", "knobs": {}}, embedded, QUICK)
