"""Whatever stands in a spec or a corpus: it is read, or refused with a message; never anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestrator.spec.errors import SpecError
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.text.corpora import Corpus, CorpusError, load_corpus
from trainables.variants import variant_names

KNOBS = ["cycles", "word_keep_rate", "dilation", "hidden_size", "decoder", "latent", "schedule", "batch_size"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["all", "embedded", "1e-3", "~x/y", "s3://b", "sqlite:///x", "S", "lstm", "\u2028"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from([*KNOBS, "low", "high", "choices", "log"]), SCALARS), inner,
                        max_size=3),
    ),
    max_leaves=6,
)  # fmt: skip
OWN = st.dictionaries(st.sampled_from(KNOBS), VALUES, max_size=2)
CHANGES = st.dictionaries(st.sampled_from(["knobs", "ranges"]), OWN)
VARIANTS = st.dictionaries(st.sampled_from(variant_names()), CHANGES, min_size=1, max_size=2)
MARKUP = st.text(alphabet="ab: -[]{}&*!|>'\"\n\t#?%@`0", max_size=40).map(str.encode)
SPECS = st.dictionaries(st.sampled_from([*SweepSpec.model_fields, "nonsense"]), VALUES, max_size=4)
ONE_FOLDER = settings(deadline=10_000, suppress_health_check=[HealthCheck.function_scoped_fixture])


def loaded(content: bytes, folder: Path) -> SweepSpec | None:
    """The spec of a file, which then reads back equal; None if it was refused."""
    file = folder / "spec.yaml"
    file.write_bytes(content)
    try:
        spec = SweepSpec.load(file)
    except SpecError:
        return None
    file.write_text(spec.to_yaml(), encoding="utf-8")
    assert SweepSpec.load(file) == spec
    return spec


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@ONE_FOLDER
@given(data=SPECS, variants=st.one_of(st.none(), VARIANTS))
def test_any_values(data: dict[str, Any], variants: Any, folder: Path) -> None:
    text = yaml.safe_dump(data if variants is None else {**data, "variants": variants}, allow_unicode=True)
    loaded(text.encode("utf-8", "surrogatepass"), folder)


@ONE_FOLDER
@given(content=st.one_of(st.binary(max_size=60), MARKUP))
@example(content=b"a: &a [*a, *a]")
@example(content=b"? [a, b]\n: 3")
@example(content=b"trials: 1_0\nseed: 0x10")
def test_any_file(content: bytes, folder: Path) -> None:
    loaded(content, folder)


LINES = st.one_of(
    st.binary(max_size=80),
    st.lists(st.text(alphabet="ab <s>/unkpd\t\r\ufeff\u2028\x85\x1c", max_size=12), max_size=12)
    .map("\n".join).map(str.encode),
)  # fmt: skip


@ONE_FOLDER
@given(content=LINES, most=st.one_of(st.none(), st.integers(2, 9)), deduplicate=st.booleans())
def test_any_corpus(content: bytes, most: int | None, deduplicate: bool, folder: Path) -> None:
    (folder / "text.txt").write_bytes(content)
    try:
        corpus = load_corpus(folder / "text.txt", max_sentences=most, deduplicate=deduplicate)
    except CorpusError:
        return
    assert isinstance(corpus, Corpus)
    assert min(len(corpus.train), len(corpus.valid), len(corpus.test)) >= 1
    assert corpus.train.lengths.min() >= 3
