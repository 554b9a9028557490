"""SweepSpec: defaults, what it refuses and in which words, options over a file, and that it reads back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator.spec.errors import SpecError
from orchestrator.spec.length import Length
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.text.sources import Embedded, PlainText
from trainables.training.presets import EMBEDDED

EPOCHS = "epochs must be auto, a number of epochs >= 1, or {planned: …, most: …} with 1 <= planned <= most"
NAMES = ["vanilla", "annealed", "dilated", "cyclical", "aggressive"]
KEYS = (
    "corpus, name, vocabulary_size, max_sentences, deduplicate, preset, variants, trials, search,"
    " budget, epochs, seed, baseline_seeds, baseline_trials, replicates, max_replicates, knobs, ranges,"
    " resources, max_concurrent, iw_samples, iw_sentences, final_iw_samples, final_iw_sentences,"
    " final_iw_tolerance, models, tracking_uri, storage, checkpoints"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def load(text: str | bytes, **options: Any) -> SweepSpec:
    path = Path("spec.yaml")
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return SweepSpec.load(path, options)


def refusal(text: str | bytes, **options: Any) -> str:
    with pytest.raises(SpecError) as caught:
        load(text, **options)
    return str(caught.value)


# -- defaults and places -----------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "knobs:\nranges:\nresources:\nvariants:\n"])
def test_an_empty_file_is_the_defaults(folder: Path, text: str) -> None:
    spec = load(text, name="a")
    assert spec == SweepSpec.load(None, {"name": "a"})
    assert list(spec.variants) == NAMES
    assert (spec.trials, spec.epochs, spec.seed) == (3, Length(), 0)
    assert (spec.baseline_seeds, spec.replicates, spec.most_replicates) == (5, 3, 6)
    assert (spec.corpus, spec.vocabulary_size, spec.max_sentences) == (Embedded(), 10_000, None)
    assert (spec.resources.cpus, spec.resources.gpus, spec.max_concurrent) == (1, None, None)
    assert (spec.iw_samples, spec.iw_sentences) == (25, 200)
    assert spec.tracking_uri == f"sqlite:///{folder}/mlflow.db"
    assert spec.folder == folder / "sweeps" / "a"


def test_relative_paths_are_taken_from_the_working_directory(folder: Path) -> None:
    spec = load("corpus: data/x\nstorage: ../out\ntracking_uri: sqlite:///db/m.db\n")
    assert spec.corpus == PlainText(folder / "data" / "x")
    assert spec.storage == folder.parent / "out"
    assert spec.tracking_uri == f"sqlite:///{folder}/db/m.db"


def test_the_environment_names_the_tracking_where_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert load("").tracking_uri == "http://127.0.0.1:5000"
    assert load("tracking_uri: http://other").tracking_uri == "http://other"
    assert load("tracking_uri: http://other", tracking_uri="http://third").tracking_uri == "http://third"


@pytest.mark.parametrize(
    ("text", "stem"),
    [
        ("", "embedded"),
        ("corpus: embedded", "embedded"),
        ("corpus: a/my text!.txt", "my-text"),
        ("corpus: /", "corpus"),
    ],
)
def test_the_default_name_is_the_corpus_and_the_time(text: str, stem: str) -> None:
    assert re.fullmatch(rf"{stem}-\d{{8}}-\d{{6}}", load(text).name)


def test_a_corpus_folder_gives_its_whole_name(folder: Path) -> None:
    (folder / "yelp.v2").mkdir()
    assert load("corpus: yelp.v2").name.startswith("yelp.v2-")


# -- refusals ----------------------------------------------------------------------------------------

FORMS = "[low, high], {low: …, high: …, log: …, step: …} or {choices: […]}"
ADDRESS = "tracking_uri must be an address such as sqlite:///mlflow.db or http://127.0.0.1:5000, got"
NAME_RULE = "name must be 1 to 100 of the characters A-Z a-z 0-9 . _ - and begin with a letter or digit, got"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trials: 0", "1: trials must be >= 1, got 0"),
        ("replicates: 3\nmax_replicates: 2", "2: max_replicates must be >= replicates, 3, got 2"),
        ("\n\nepochs: 1.5", f"3: {EPOCHS}, got 1.5"),
        ("epochs: yes", f"1: {EPOCHS}, got True"),
        ("trials: '3'", "1: trials must be an integer, got '3'"),
        ("seed: -1", "1: seed must be >= 0, got -1"),
        ("seed: 4294967296", "1: seed must be <= 4294967295, got 4294967296"),
        ("seed: 010", "1: seed must be an integer, got '010'"),
        ("max_sentences: 1", "1: max_sentences must be >= 2, got 1"),
        ("vocabulary_size: 4", "1: vocabulary_size must be >= 5, got 4"),
        ("replicates: -1", "1: replicates must be >= 0, got -1"),
        ("baseline_seeds: 0", "1: baseline_seeds must be >= 1, got 0"),
        ("max_concurrent: 0", "1: max_concurrent must be >= 1, got 0"),
        ("iw_samples: .inf", "1: iw_samples must be an integer, got inf"),
        ("final_iw_tolerance: 1", "1: final_iw_tolerance must be < 1.0, got 1"),
        ("final_iw_tolerance: -0.1", "1: final_iw_tolerance must be >= 0.0, got -0.1"),
        ("resources: {cpus: 0}", "1: resources.cpus must be > 0, got 0"),
        ("resources:\n  gpus: .nan", "2: resources.gpus must be finite, got nan"),
        ("resources:\n  gpus: some", "2: resources.gpus must be auto or a number >= 0, got 'some'"),
        ("resources:\n  gpus: 1.5", "2: resources.gpus must be whole above 1, got 1.5"),
        (
            "resources:\n  gpus: 0\n  accelerator: T4",
            "3: resources.accelerator must come with gpus above 0, got 'T4' without",
        ),
        ("resources: 3", "1: resources must be a mapping, got 3"),
        ("resources: {cpu: 3}", "1: unknown key 'cpu'; did you mean 'cpus'?"),
        ("trials: 3\ntrails: 3", "2: unknown key 'trails'; did you mean 'trials'?"),
        ("qqq: 3", f"1: unknown key 'qqq'; known: {KEYS}"),
        ("name: 2024", "1: name must be text, got 2024; put text in quotes"),
        (
            "name: no",
            "1: name must be text, got False; YAML reads yes, no, on and off as booleans: put text in quotes",
        ),
        ("name: ..", f"1: {NAME_RULE} '..'"),
        ("name: a/b", f"1: {NAME_RULE} 'a/b'"),
        ("name: ''", f"1: {NAME_RULE} ''"),
        ("corpus: 3", "1: corpus must be a path, got 3"),
        ("corpus: ''", "1: corpus must be a path, got ''"),
        ("storage: s3://b/sweeps", "1: storage must be a path that every node sees, got 's3://b/sweeps'"),
        ("tracking_uri: mlflow.db", f"1: {ADDRESS} 'mlflow.db'"),
        ("tracking_uri: 'sqlite:///'", f"1: {ADDRESS} 'sqlite:///'"),
        ("variants: vanilla", "1: variants must be a list of names or a mapping of names, got 'vanilla'"),
        ("variants: []", "1: variants must name at least one, got []"),
        ("variants: [vanilla, vanilla]", "1: variants must differ, got 'vanilla' twice"),
        ("variants:\n- vanilla\n- anealed", "3: no variant 'anealed'; did you mean 'annealed'?"),
        (
            "variants:\n- vanilla\n- language_model",
            "3: variants must be without language_model: it is run always, as the baseline",
        ),
        ("variants:\n  vanila:", "2: no variant 'vanila'; did you mean 'vanilla'?"),
        ("variants: {vanilla: 3}", "1: variants.vanilla must be a mapping, got 3"),
        ("variants:\n  vanilla:\n    knob: {}", "3: unknown key 'knob'; did you mean 'knobs'?"),
        ("knobs: 3", "1: knobs must be a mapping, got 3"),
        ("knobs:\n  hidden_size: 0", "2: hidden_size must be >= 1, got 0"),
        ("ranges:\n  cycles: []", "2: cycles must have a range that is not empty, got []"),
        ("ranges:\n  cycles: 3", f"2: cycles must have a range {FORMS}, got 3"),
        ("ranges:\n  cycles:\n    low: 1\n    hi: 2", "4: unknown key 'hi' of a range; did you mean 'high'?"),
        (
            "variants:\n  cyclical:\n    knobs:\n      cycles: 0",
            "4: cycles must be >= 1, got 0",
        ),
    ],
)
def test_a_value_that_cannot_be(text: str, message: str) -> None:
    assert refusal(text) == f"spec.yaml:{message}"


def test_all_problems_at_once_in_the_order_of_the_file() -> None:
    message = refusal("replicates: x\nseed: -1\ntrials: 0")
    assert message.splitlines() == [
        "spec.yaml:1: replicates must be an integer, got 'x'",
        "spec.yaml:2: seed must be >= 0, got -1",
        "spec.yaml:3: trials must be >= 1, got 0",
    ]


def test_at_most_ten_problems() -> None:
    found = refusal("\n".join(f"zz{number}: 1" for number in range(13))).splitlines()
    assert len(found) == 11
    assert found[0].startswith("spec.yaml:1: unknown key 'zz0'")
    assert found[-1] == "and 3 more"


# -- options -----------------------------------------------------------------------------------------


def test_options_go_before_the_file() -> None:
    spec = load("trials: 9\nepochs: 7\nresources: {cpus: 2}", trials=2, gpus=0.5, seed=None, set=[])
    assert (spec.trials, spec.epochs.most, spec.resources.cpus, spec.resources.gpus) == (2, 7, 2, 0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "--trials: trials must be >= 1, got 0"),
        ({"max_sentences": 1}, "--max-sentences: max_sentences must be >= 2, got 1"),
        ({"cpus": -1.0}, "--cpus: resources.cpus must be > 0, got -1.0"),
        ({"variants": "vanilla,anealed"}, "--variants: no variant 'anealed'; did you mean 'annealed'?"),
        ({"variants": "vanilla, vanilla"}, "--variants: variants must differ, got 'vanilla' twice"),
        ({"set": ["cycles=x"]}, "--set cycles: cycles must be of type int, got 'x'"),
        ({"set": ["cycles=0"]}, "--set cycles: cycles must be >= 1, got 0"),
        (
            {"set": ["cycels=1"]},
            "--set cycels: no chosen variant has a knob 'cycels'; did you mean 'cycles'?",
        ),
        ({"set": ["cycles"]}, "--set: must be KNOB=VALUE, got 'cycles'"),
        ({"set": ["=3"]}, "--set: must be KNOB=VALUE, got '=3'"),
    ],
)
def test_an_option_that_cannot_be_is_named(options: dict[str, Any], message: str) -> None:
    assert refusal("trials: 3\n", **options) == message


def test_a_good_option_heals_a_bad_value_of_the_file() -> None:
    assert load("trials: 0", trials=1).trials == 1


def test_chosen_variants_keep_what_the_file_says_of_them() -> None:
    text = "variants:\n  cyclical: {knobs: {cycles: 2}}\n  annealed: {knobs: {kl_start: 0.1}}\n"
    spec = load(text, variants="vanilla,cyclical")
    assert list(spec.variants) == ["vanilla", "cyclical"]
    assert spec.search_spaces()["cyclical"].knobs == {
        **EMBEDDED.knobs,
        **EMBEDDED.by_variant["cyclical"],
        "cycles": 2,
    }


def test_set_fixes_a_knob_whatever_the_file_says() -> None:
    text = """
ranges: {word_keep_rate: [0.5, 1]}
variants:
  annealed: {knobs: {word_keep_rate: 0.1}}
  cyclical: {ranges: {word_keep_rate: [0, 1]}}
"""
    plans = load(text, set=["word_keep_rate=0.75", "posterior_bias=false"]).search_spaces()
    fixed = {**EMBEDDED.knobs, "word_keep_rate": 0.75, "posterior_bias": False}
    found = {name: plan.knobs for name, plan in plans.items()}
    assert found == {"annealed": fixed, "cyclical": {**fixed, **EMBEDDED.by_variant["cyclical"]}}
    assert all("word_keep_rate" not in plan.distributions for plan in plans.values())


def test_set_knows_knobs_of_parts_that_stand_in_no_variant() -> None:
    plan = load("", set=["initialization=uniform", "init_range=1e-2"]).search_spaces()["vanilla"]
    assert plan.knobs == {**EMBEDDED.knobs, "initialization": "uniform", "init_range": 0.01}


def test_the_embedded_corpus_has_usual_knobs_under_what_is_said() -> None:
    assert load("").knobs == EMBEDDED.knobs
    assert load("knobs: {decoder: lstm}").knobs == {**EMBEDDED.knobs, "decoder": "lstm"}
    assert "dropout" not in load("ranges: {dropout: [0, 0.5]}").knobs
    assert load("preset: reference").knobs["batch_size"] == 32
    assert load("preset: reference").epochs == Length.parse(100)
    assert load("preset: reference\nepochs: 3").epochs == Length.parse(3)
    assert load("corpus: data.txt").knobs == {}
