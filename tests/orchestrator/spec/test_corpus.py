"""The key `corpus`: what it holds, the name and the vocabulary that follow from it, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator.running.folder import prepare_folder, saved_spec
from orchestrator.running.preflight import read_corpus
from orchestrator.spec.dataset_source import DatasetSource
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.text.named_corpora import NamedCorpus
from trainables.text.sources import CorpusSource, PlainText


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def load(text: str, **options: Any) -> SweepSpec:
    Path("spec.yaml").write_text(text)
    return SweepSpec.load(Path("spec.yaml"), options)


@pytest.mark.parametrize(
    ("value", "source", "saved", "stem"),
    [
        ("a/b.txt", PlainText(Path("FOLDER/a/b.txt")), "FOLDER/a/b.txt", "b"),
        ("ptb:data/x", NamedCorpus("ptb", Path("FOLDER/data/x")), "ptb:FOLDER/data/x", "ptb"),
        ("datasets:o/a,text=t", DatasetSource("o/a", text="t"), "datasets:o/a,text=t", "a"),
        ("datasets:./x", DatasetSource("FOLDER/x"), "datasets:FOLDER/x", "x"),
    ],
)
def test_a_source_is_held_saved_and_named(
    folder: Path, value: str, source: CorpusSource, saved: str, stem: str
) -> None:
    spec = load(f"corpus: {value}")
    assert repr(spec.corpus) == repr(source).replace("FOLDER", str(folder))
    assert spec.to_yaml().splitlines()[0] == f"corpus: {saved}".replace("FOLDER", str(folder))
    assert re.fullmatch(rf"{stem}-\d{{8}}-\d{{6}}", spec.name)
    assert load("", corpus=value).corpus == load("", corpus=spec.corpus).corpus == spec.corpus


def test_the_vocabulary_is_usual_for_the_corpus_unless_it_is_given() -> None:
    sizes = [load(f"corpus: {kind}:data").vocabulary_size for kind in ("ptb", "yahoo", "yelp", "snli")]
    assert sizes == [None, None, None, 10_000]
    assert load("corpus: ptb:data\nvocabulary_size: 500").vocabulary_size == 500
    assert load("vocabulary_size: null").vocabulary_size is None
    assert load("corpus: ptb:data\nvocabulary_size: usual").vocabulary_size is None


def test_a_saved_sweep_finds_its_corpus_from_anywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "data").mkdir()
    for split in ("train", "valid", "test"):
        (folder / "data" / f"ptb.{split}.txt").write_text(" the <unk> sat \n a cat \n")
    spec = load("corpus: ptb:data", name="a")
    prepare_folder(spec)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    again = saved_spec("a", {"storage": str(folder / "sweeps")})
    assert again.corpus == spec.corpus
    assert read_corpus(again).digest == read_corpus(spec).digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("corpus: s3://b/x", "1: corpus must be a path that every node sees, got 's3://b/x'"),
        (
            "\ncorpus: pbt:data",
            "2: corpus must be embedded, a path, or begin with one of ptb:, yahoo:, yelp:, snli:, datasets:,"
            " got 'pbt:data'",
        ),
        ("corpus: 'ptb:'", "1: a folder stands behind ptb:, such as ptb:data/ptb, got none"),
        (
            "corpus: datasets:a/b/c",
            "1: a dataset is a folder that exists, or NAME or OWNER/NAME on the hub, got 'a/b/c'",
        ),
    ],
)
def test_what_names_no_corpus(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(text)
    assert str(caught.value) == f"spec.yaml:{message}"
