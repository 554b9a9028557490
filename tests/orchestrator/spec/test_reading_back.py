"""A spec is written so that it reads back equal, whatever it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.spec.sections import SAMPLERS
from orchestrator.spec.sweep_spec import SweepSpec

NAMES = ["vanilla", "annealed", "dilated", "cyclical", "aggressive"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def load(text: str, **options: Any) -> SweepSpec:
    path = Path("spec.yaml")
    path.write_text(text, encoding="utf-8")
    return SweepSpec.load(path, options)


text_that_looks_otherwise = st.sampled_from(["1e-3", "no", "010", "2026-01-01", "1.", "null", "a#b", "ü"])
sources = st.sampled_from(
    ["data/a b", "~/x", "ptb:a b", "snli:~/x", "datasets:a/b,text=c d", "datasets:./a,b"]
)
paths = st.one_of(st.none(), text_that_looks_otherwise, sources)
specs = st.fixed_dictionaries(
    {},
    optional={
        "corpus": paths,
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True),
        "vocabulary_size": st.none() | st.integers(5, 10**9),
        "max_sentences": st.none() | st.integers(2, 10**9),
        "trials": st.integers(1, 10**6),
        "search": st.fixed_dictionaries(
            {},
            optional={
                "objective": st.sampled_from(["frontier", "elbo"]),
                "sampler": st.sampled_from([*SAMPLERS, "a.b:C"]),
                "kl_floor": st.floats(0, 1e300),
                "margin": st.floats(-1e300, 1e300),
            },
        ),
        "epochs": st.integers(1, 1000),
        "seed": st.integers(0, 2**32 - 1),
        "replicates": st.integers(0, 10),
        "variants": st.one_of(
            st.lists(st.sampled_from(NAMES), min_size=1, unique=True),
            st.dictionaries(
                st.sampled_from(NAMES),
                st.fixed_dictionaries(
                    {},
                    optional={
                        "knobs": st.just({"free_bits": 1e-7}),
                        "ranges": st.just({"dropout": [0, 1e-5]}),
                    },
                ),
                min_size=1,
            ),
        ),
        "knobs": st.fixed_dictionaries(
            {},
            optional={
                "learning_rate": st.floats(1e-300, 1e300) | st.integers(1, 10),
                "decoder": st.just("lstm"),
                "posterior_bias": st.booleans(),
            },
        ),
        "ranges": st.fixed_dictionaries(
            {},
            optional={
                "hidden_size": st.just({"low": 1, "high": 64, "log": True}),
                "batch_size": st.just({"choices": [8, 64]}),
                "word_keep_rate": st.just([0, 1]),
            },
        ),
        "resources": st.fixed_dictionaries(
            {"cpus": st.floats(0.1, 64), "gpus": st.just("auto") | st.integers(0, 8)}
        ),
        "max_concurrent": st.none() | st.integers(1, 64),
        "storage": st.just("out put"),
    },
)


@settings(max_examples=25, deadline=None)
@given(specs)
def test_a_spec_reads_back_equal(data: dict[str, Any]) -> None:
    spec = SweepSpec.model_validate(data)
    again = load(spec.to_yaml())
    assert again == spec
    assert again.search_spaces() == spec.search_spaces()
    assert again.to_yaml() == spec.to_yaml()


def test_yaml_of_a_spec_is_complete_and_short(folder: Path) -> None:
    spec = load("variants: {cyclical: {knobs: {cycles: 2}}, vanilla: }", name="a", cpus=2.0)
    assert (
        spec.to_yaml()
        == f"""corpus: embedded
name: a
vocabulary_size: 10000
max_sentences: null
deduplicate: false
preset: null
variants:
  cyclical:
    knobs:
      ramp_share: 1.0
      cycles: 2
  vanilla: {{}}
trials: 3
search:
  objective: frontier
  sampler: auto
  kl_floor: 0.5
  margin: 0.0
  warm_start: []
  equal: compute
  collapse_patience: null
  stop_dominated: false
  halving: null
budget:
  max_tokens: null
  max_hours: null
  max_gpu_hours: null
  price: null
  max_cost: null
  deadline: null
  at_cap: finish
epochs: auto
seed: 0
baseline_seeds: 5
baseline_trials: null
replicates: 3
max_replicates: null
knobs:
  encoder: pooled
  decoder: dilated
  dropout: 0.2
  embedding_size: 32
  latent_size: 8
  batch_size: 64
  learning_rate: 0.004
ranges: {{}}
resources:
  cpus: 2.0
  gpus: auto
  accelerator: null
max_concurrent: null
iw_samples: 25
iw_sentences: 200
final_iw_samples: 500
final_iw_sentences: 200
final_iw_tolerance: 0.1
models: frontier
tracking_uri: sqlite:///{folder}/mlflow.db
storage: {folder}/sweeps
checkpoints: null
"""
    )


@pytest.mark.parametrize(
    ("given", "kept"),
    [("s3://bucket/sweeps", "s3://bucket/sweeps/a"), ("here", "FOLDER/here/a"), ("/there", "/there/a")],
)
def test_checkpoints_may_lie_elsewhere(folder: Path, given: str, kept: str) -> None:
    spec = load(f"name: a\ncheckpoints: {given}")
    assert spec.checkpoint_folder == kept.replace("FOLDER", str(folder))
    assert load("name: a").checkpoint_folder == f"{folder}/sweeps/a"
