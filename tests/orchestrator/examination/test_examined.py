"""What an examination found survives the way to the sweep's folder and back."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from orchestrator.examination.examined import FOLDER, Examined, keep, kept
from orchestrator.examination.probe import Probe
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.evaluation.examination import Examination, Knowledge
from trainables.evaluation.importance_weighting import ImportanceWeighted
from trainables.evaluation.texts import Decoded, PriorSample, Reconstruction, Texts, Waypoint
from trainables.text.grammar import embedded_corpus

CORPUS = embedded_corpus(0, (20, 5, 4))
SAID = Decoded("a <unk>", "b", "")
TEXTS = Texts(
    [PriorSample("küche", SAID)], [Reconstruction("", "a b", SAID)], [Waypoint("a", "b", 0.2, SAID)]
)
FULL = Examined("t1", 500, 4, (1.0, 2.0, math.inf), (0, 1, 3), TEXTS, Probe(0.9, 0.5, 0.7, 0.25, 40, 30))
BARE = Examined("t2", 500, 4, (0.1 + 0.2, math.nan, 3.0), (0, 2, 3))


@pytest.fixture
def spec(tmp_path: Path) -> SweepSpec:
    (tmp_path / "s").mkdir()
    return SweepSpec(storage=tmp_path, name="s", final_iw_sentences=3)


def test_what_is_kept_comes_back(spec: SweepSpec) -> None:
    for examined in (FULL, BARE):
        keep(spec.folder, examined)
    found = kept(spec, CORPUS)
    assert found["t1"] == FULL
    assert repr(found["t2"]) == repr(BARE)
    assert set(found) == {"t1", "t2"}


def test_what_cannot_be_read_or_is_of_another_effort_counts_as_none(spec: SweepSpec) -> None:
    assert kept(spec, CORPUS) == {}
    for examined in (FULL, BARE):
        keep(spec.folder, examined)
    (spec.folder / FOLDER / "t1.json").write_text('{"trial_id": "t1"')
    (spec.folder / FOLDER / "t3.partial").write_text("{}")
    assert set(kept(spec, CORPUS)) == {"t2"}
    for other in ({"final_iw_samples": 499}, {"final_iw_sentences": None}, {"final_iw_sentences": 2}):
        changed = SweepSpec(**{"storage": spec.storage, "name": "s", "final_iw_sentences": 3, **other})
        assert kept(changed, CORPUS) == {}


@pytest.mark.parametrize(
    ("samples", "tolerance", "good"), [(500, 0, 1), (75, 0, 0), (75, 0.1, 1), (501, 0.1, 0)]
)
def test_fewer_samples_are_as_good_where_they_sufficed(
    spec: SweepSpec, samples: int, tolerance: float, good: int
) -> None:
    keep(spec.folder, Examined("t", samples, 4, (1.0,) * 3, (0, 1, 2)))
    assert len(kept(spec.model_copy(update={"final_iw_tolerance": tolerance}), CORPUS)) == good


@pytest.mark.parametrize("asked", [4, 9, None])
def test_no_more_sentences_than_there_are(spec: SweepSpec, asked: int | None) -> None:
    keep(spec.folder, Examined("t", 500, 4, (1.0,) * 4, (0, 1, 2, 3)))
    assert set(kept(SweepSpec(storage=spec.storage, name="s", final_iw_sentences=asked), CORPUS)) == {"t"}


def test_losses_stand_at_the_sentences_numbers() -> None:
    assert FULL.losses_N.tolist() == pytest.approx([1.0, 2.0, math.nan, math.inf], nan_ok=True)
    assert BARE.losses_N.tolist() == pytest.approx([0.3, math.nan, math.inf, 3.0], nan_ok=True)
    assert not FULL.whole


def test_more_sentences_than_asked_for_are_as_good(spec: SweepSpec) -> None:
    keep(spec.folder, Examined("t", 500, 4, (1.0,) * 4, (0, 1, 2, 3)))
    assert kept(spec, CORPUS)["t"].whole
    keep(spec.folder, Examined("t", 500, 5, (1.0,) * 4, (0, 1, 2, 4)))  # of another corpus
    assert kept(spec, CORPUS) == {}


def test_figures() -> None:
    losses_N = np.array([10.0, 12.0, 14.0, 16.0])
    labels_N = np.array([0, 1, 0, 1])
    mean_ND = np.array([[1.0], [-1.0]] * 2, dtype=np.float32)
    known = Knowledge(np.tile(mean_ND, (10, 1)), np.tile(labels_N, 10))
    found = Examined.of(
        "t",
        Examination(
            ImportanceWeighted(losses_N, np.arange(4), 500), 4, TEXTS, known, Knowledge(mean_ND, labels_N)
        ),
    )
    assert found.texts == TEXTS
    assert found.final() == {
        "test/iw_nll": 13.0,
        "test/iw_nll_se": pytest.approx(math.sqrt(20 / 3 / 4)),
        "test/iw_samples": 500.0,
        "test/iw_sentences": 4.0,
        "probe/accuracy": 1.0,
        "probe/majority": 0.5,
        "probe/mixture_accuracy": 1.0,
        "probe/nmi": pytest.approx(1.0),
        "probe/train_sentences": 40.0,
        "probe/test_sentences": 4.0,
    }
    bare = Examined.of("t", Examination(ImportanceWeighted(losses_N, np.arange(4), 500), 9))
    assert (bare.texts, bare.probe, bare.whole) == (None, None, False)
    assert {name.split("/")[0] for name in bare.final()} == {"test"}
