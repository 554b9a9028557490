"""The MLflow model of a trial: loaded where nobody knows this checkout, it says what the evaluation says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch

from orchestrator.tracking.models.saved import requirements, save_model
from tests.paths import ROOT
from tests.trainables.trained import Trained, labels, texts, trained
from trainables.parts.part import KnobError
from trainables.text.grammar import embedded_corpus
from trainables.text.splits import Corpus
from trainables.variants import load_variant, variant_names

SMALL = {"embedding_size": 6, "hidden_size": 12, "latent_size": 3, "batch_size": 8, "learning_rate": 0.01}
SLOW = set(variant_names()) - {"vanilla", "conditional", "gumbel", "vq", "batch_norm", "skip"}
LOAD = """
import json, logging, sys, warnings
logging.basicConfig(level=logging.WARNING)
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
found = model.predict(pd.DataFrame(json.loads(sys.argv[2])))
import trainables
heavy = sorted({"ray", "optuna", "orchestrator", "search_spaces"} & set(sys.modules))
print(json.dumps([found.to_dict("list"), trainables.__file__, heavy]))
"""


def in_a_fresh_process(
    uri: str, data: dict[str, list[str]], folder: Path, tracking_uri: str | None = None
) -> tuple[dict[str, list[Any]], str, list[str]]:
    """Loads the model in another folder, with an empty path: columns, where `trainables` came from, what
    else of ours was loaded."""
    left_out = ("PYTHONPATH", "MLFLOW_TRACKING_URI")
    environment = {key: value for key, value in os.environ.items() if key not in left_out}
    environment["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    if tracking_uri:
        environment["MLFLOW_TRACKING_URI"] = tracking_uri
    done = subprocess.run(
        [sys.executable, "-c", LOAD, uri, json.dumps(data)],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    columns, place, heavy = json.loads(done.stdout.splitlines()[-1])
    return columns, place, heavy


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return embedded_corpus(3, (96, 40, 30))


def model_of(name: str, corpus: Corpus, epochs: int = 2, **knobs: Any) -> Trained:
    variant = load_variant(name)
    few = {"inner_limit": 5, "inner_window": 2, "pretraining_epochs": 1}
    few = {knob: min(value, variant.knobs()[knob]) for knob, value in few.items() if knob in variant.knobs()}
    torch.set_num_threads(1)
    return trained(variant.with_knobs({**SMALL, **few, **knobs}), corpus, epochs)


def columns_of(corpus: Corpus, told: bool) -> dict[str, list[str]]:
    test = corpus.test
    return {"sentence": texts(test, corpus)} | ({"label": labels(test, corpus)} if told else {})


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in variant_names()]
)
def test_a_loaded_model_says_what_the_evaluation_says(tmp_path: Path, corpus: Corpus, name: str) -> None:
    model, losses_N = model_of(name, corpus)
    save_model(model, tmp_path / "t0")
    told = model.description.told
    data = columns_of(corpus, told)
    found = mlflow.pyfunc.load_model(str(tmp_path / "t0")).predict(pd.DataFrame(data))
    assert found.dtypes.astype(str).to_dict()["nll"] == "float64"
    assert (found["nll"] + found["kl"]).tolist() == pytest.approx(losses_N.tolist(), abs=1e-5)
    here = model.reconstructor().reconstruct(data["sentence"], data.get("label"))
    assert found["reconstruction"].tolist() == [each.text for each in here]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vanilla", "conditional"])
def test_it_loads_where_nobody_knows_this_checkout(tmp_path: Path, corpus: Corpus, name: str) -> None:
    model, losses_N = model_of(name, corpus)
    save_model(model, tmp_path / "models" / "t0")
    (tmp_path / "elsewhere").mkdir()
    data = columns_of(corpus, name == "conditional")
    found, place, heavy = in_a_fresh_process(str(tmp_path / "models" / "t0"), data, tmp_path / "elsewhere")
    assert np.add(found["nll"], found["kl"]).tolist() == pytest.approx(losses_N.tolist(), abs=1e-5)
    assert Path(place) == tmp_path / "models" / "t0" / "code" / "trainables" / "__init__.py"
    assert heavy == []
    assert os.listdir(tmp_path / "elsewhere") == []


def test_what_the_folder_holds(tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "uv.lock").write_text("version = 1\n")  # of the user's own project
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'secret'\n")
    model = model_of("vanilla", corpus, epochs=1).model
    folder = tmp_path / "models of a%20b" / "t0"
    save_model(model, folder)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {name for name in files if not name.startswith("code/")} == {
        "MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "input_example.json",
        "serving_input_example.json", "reconstruction_model.py", "artifacts/trained/model.json",
        "artifacts/trained/weights.pt",
    }  # fmt: skip
    code = {name.removeprefix("code/") for name in files if name.startswith("code/")}
    assert code == {str(path.relative_to(ROOT)) for path in (ROOT / "trainables").rglob("*.py")}
    assert [path.name for path in folder.parent.iterdir()] == ["t0"]
    torch.load(folder / "artifacts" / "trained" / "weights.pt", weights_only=True)
    description = (folder / "MLmodel").read_text()
    assert str(ROOT) not in description
    assert "/tmp" not in description
    required = (folder / "requirements.txt").read_text().split()
    assert required == requirements()
    assert all(re.fullmatch(r"(mlflow|torch|numpy|pandas)==[0-9.]+", each) for each in required)


def test_signature_and_example(tmp_path: Path, corpus: Corpus) -> None:
    model = model_of("conditional", corpus, epochs=1).model
    save_model(model, tmp_path / "t0")
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "t0"))
    signature = loaded.metadata.signature
    assert signature.inputs.to_dict() == [
        {"type": "string", "name": "sentence", "required": True},
        {"type": "string", "name": "label", "required": True},
    ]
    assert [(each["name"], each["type"]) for each in signature.outputs.to_dict()] == [
        ("reconstruction", "string"), ("nll", "double"), ("kl", "double"),
    ]  # fmt: skip
    example = loaded.metadata.load_input_example(str(tmp_path / "t0"))
    first = (texts(corpus.test, corpus)[0], labels(corpus.test, corpus)[0])
    assert example.to_dict("list") == {"sentence": [first[0]], "label": [first[1]]}
    assert len(loaded.predict(example)) == 1
    assert loaded.metadata.metadata == {
        "variant": "conditional", "sweep": "s", "trial_id": "t0", "corpus": "embedded",
    }  # fmt: skip


def test_what_a_loaded_model_refuses(tmp_path: Path, corpus: Corpus) -> None:
    save_model(model_of("conditional", corpus, epochs=1).model, tmp_path / "t0")
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "t0"))
    for sentence, label, message in (
        ("", "barn", "a sentence must be words with spaces between, at least one, got ''"),
        ("a", "moon", "a label must be one of the corpus, got 'moon': sentence 2 of 2"),
    ):
        rows = pd.DataFrame({"sentence": ["the barn", sentence], "label": ["barn", label]})
        with pytest.raises(ValueError, match=re.escape(message)):
            loaded.predict(rows)
    with pytest.raises(mlflow.MlflowException, match="label"):
        loaded.predict(pd.DataFrame({"sentence": ["a"]}))


def test_a_model_that_is_there_stays_and_half_a_one_is_made_anew(tmp_path: Path, corpus: Corpus) -> None:
    model = model_of("vanilla", corpus, epochs=1).model
    half = tmp_path / ".t0.partial"
    half.mkdir()
    (half / "MLmodel").write_text("half")
    save_model(model, tmp_path / "t0")
    assert [path.name for path in tmp_path.iterdir()] == ["t0"]
    before = (tmp_path / "t0" / "MLmodel").stat().st_mtime_ns
    save_model(model, tmp_path / "t0")
    assert (tmp_path / "t0" / "MLmodel").stat().st_mtime_ns == before


def test_saving_says_nothing(
    tmp_path: Path, corpus: Corpus, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    model = model_of("vanilla", corpus, epochs=1).model
    capfd.readouterr()
    save_model(model, tmp_path / "t0")
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
    assert "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR" not in os.environ


def test_a_model_whose_parts_do_not_fit_is_not_read(tmp_path: Path, corpus: Corpus) -> None:
    save_model(model_of("vanilla", corpus, epochs=1).model, tmp_path / "t0")
    file = tmp_path / "t0" / "artifacts" / "trained" / "model.json"
    about = json.loads(file.read_text())
    file.write_text(json.dumps(about | {"knobs": {"hidden_size": -1}}))
    with pytest.raises(KnobError, match="hidden_size must be >= 1, got -1"):
        mlflow.pyfunc.load_model(str(tmp_path / "t0"))
