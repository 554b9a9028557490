"""`datasets:…`: what a spec may say, and small datasets that the tests write; never the network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.running.preflight import read_corpus
from orchestrator.spec.dataset_source import DatasetSource
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.train import main as train
from tests.paths import ROOT
from trainables.text.corpora import Corpus, CorpusError, load_corpus
from trainables.text.splits import Split

TRAIN = [
    {"text": "a b  a", "label": 1},
    {"text": "c.\nb", "label": 0},
    {"text": " ", "label": 0},
    {"text": "d", "label": -1},
]
SPLITS = {"train": TRAIN, "validation": [{"text": "b e", "label": 0}], "test": [{"text": "a", "label": 1}]}

Rows = Sequence[Mapping[str, Any]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library, with its cache in the test's folder; the conftest has taken it off the network."""
    library = pytest.importorskip("datasets", reason="needs the extra 'datasets'")
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    library.disable_progress_bars()
    return library


def save(datasets: Any, folder: Path, splits: Mapping[str, Rows]) -> Path:
    """A dataset as `save_to_disk` leaves it, with names for the labels."""
    names = datasets.ClassLabel(names=["neg", "pos"])
    parts = {name: datasets.Dataset.from_list(list(rows)) for name, rows in splits.items()}
    labelled = {name: part.cast_column("label", names) for name, part in parts.items()}
    datasets.DatasetDict(labelled).save_to_disk(folder)
    return folder


def write_jsonl(folder: Path, splits: Mapping[str, Rows]) -> Path:
    folder.mkdir()
    for name, rows in splits.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def corpus_of(text: str, **arguments: Any) -> Corpus:
    return load_corpus(DatasetSource.parse(text), **arguments)


def refusal(text: str) -> str:
    with pytest.raises(CorpusError) as caught:
        corpus_of(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def tokens(split: Split) -> list[int]:
    found: list[int] = split.tokens.tolist()
    return found


# -- what a spec says --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "source", "name"),
    [
        ("imdb", DatasetSource("imdb"), "imdb"),
        ("owner/a.b-c_d", DatasetSource("owner/a.b-c_d"), "a.b-c_d"),
        ("owner/x,label=l,text=t t", DatasetSource("owner/x", text="t t", label="l"), "x"),
        ("x,config=plain_text,text=text", DatasetSource("x", config="plain_text"), "x"),
        ("./local,text=t", DatasetSource("FOLDER/local", text="t"), "local"),
        ("~/b", DatasetSource("FOLDER/home/b"), "b"),
        ("/a/b,c", DatasetSource("/a/b,c"), "b,c"),
    ],
)
def test_a_dataset_reads_back_equal(folder: Path, text: str, source: DatasetSource, name: str) -> None:
    found = DatasetSource.parse(text)
    assert repr(found) == repr(source).replace("FOLDER", str(folder))
    assert found.name == name
    assert DatasetSource.parse(str(found).removeprefix("datasets:")) == found


def test_a_folder_that_exists_goes_before_the_hub(folder: Path) -> None:
    (folder / "owner" / "x").mkdir(parents=True)
    assert DatasetSource.parse("owner/x") == DatasetSource(str(folder / "owner" / "x"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a dataset is a folder that exists, or NAME or OWNER/NAME on the hub, got ''"),
        ("a/b/c", "a dataset is a folder that exists, or NAME or OWNER/NAME on the hub, got 'a/b/c'"),
        ("x?text=t", "a dataset is a folder that exists, or NAME or OWNER/NAME on the hub, got 'x?text=t'"),
        (
            "x,column=t",
            "behind a dataset stand config=NAME, text=COLUMN and label=COLUMN, each once, got 'column=t'",
        ),
        (
            "x,text=",
            "behind a dataset stand config=NAME, text=COLUMN and label=COLUMN, each once, got 'text='",
        ),
        (
            "x,text=a,text=b",
            "behind a dataset stand config=NAME, text=COLUMN and label=COLUMN, each once, got 'text=a'",
        ),
    ],
)
def test_what_names_no_dataset(text: str, message: str) -> None:
    with pytest.raises(CorpusError) as caught:
        DatasetSource.parse(text)
    assert str(caught.value) == message


def test_a_spec_holds_the_dataset(folder: Path) -> None:
    spec = SweepSpec.load(None, {"corpus": "datasets:./local,label=stars"})
    assert spec.corpus == DatasetSource(str(folder / "local"), label="stars")
    assert spec.name.startswith("local-")
    assert spec.to_yaml().startswith(f"corpus: datasets:{folder}/local,label=stars\n")


# -- what is read ------------------------------------------------------------------------------------


def test_a_saved_dataset_by_hand(datasets: Any, folder: Path) -> None:
    """Class labels by their names; rows that are blank or, with labels, have none are left out."""
    save(datasets, folder / "d", SPLITS)
    corpus = corpus_of("./d,label=label")
    assert (corpus.name, corpus.source) == ("d", f"datasets:{folder}/d,label=label")
    assert corpus.vocabulary.words[4:] == ("a", "b", "c.")
    assert tokens(corpus.train) == [2, 4, 5, 4, 3, 2, 6, 5, 3]
    assert tokens(corpus.valid) == [2, 5, 0, 3]
    assert tokens(corpus.test) == [2, 4, 3]
    assert corpus.label_names == ("neg", "pos")
    assert corpus.train.labels is not None
    assert corpus.train.labels.tolist() == [1, 0]
    plain = corpus_of("./d")
    assert (len(plain.train), plain.train.labels, plain.label_names) == (3, None, ())


def test_a_folder_of_files_is_the_same_corpus(datasets: Any, folder: Path) -> None:
    save(datasets, folder / "saved", SPLITS)
    write_jsonl(folder / "jsonl", SPLITS)
    (folder / "parquet").mkdir()
    for name, rows in SPLITS.items():
        datasets.Dataset.from_list(rows).to_parquet(folder / "parquet" / f"{name}.parquet")
    digests = {corpus_of(f"./{name}").digest for name in ("saved", "jsonl", "parquet")}
    assert len(digests) == 1


def test_another_column_and_labels_that_are_text_or_numbers(datasets: Any, folder: Path) -> None:
    rows = [{"review": "a b", "stars": 5, "tone": "good"}, {"review": "c", "stars": 1, "tone": None}]
    write_jsonl(folder / "d", {"train": [*rows, *rows], "dev": rows[:1], "test": rows[:1]})
    corpus = corpus_of("./d,text=review,label=stars")
    assert corpus.label_names == ("1", "5")
    assert len(corpus.train) == 4
    assert corpus_of("./d,text=review,label=tone").label_names == ("good",)


def test_splits_that_are_missing_are_held_out_of_train(datasets: Any, folder: Path) -> None:
    rows = [{"text": f"w{i} w"} for i in range(40)]
    write_jsonl(folder / "one", {"train": rows})
    write_jsonl(folder / "two", {"train": rows, "test": rows[:3]})
    for name, sizes in (("one", [32, 4, 4]), ("two", [36, 4, 3])):
        corpus = corpus_of(f"./{name}", seed=1)
        assert [len(split) for split in (corpus.train, corpus.valid, corpus.test)] == sizes
        assert len(corpus.vocabulary) == 4 + 1 + sizes[0]
        assert corpus_of(f"./{name}", seed=1).digest == corpus.digest != corpus_of(f"./{name}").digest


def test_a_sweep_reads_it(datasets: Any, folder: Path) -> None:
    write_jsonl(folder / "d", SPLITS)
    corpus = read_corpus(SweepSpec.load(None, {"corpus": "datasets:d", "max_sentences": 2}))
    assert (corpus.name, len(corpus.train)) == ("d", 2)


# -- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("splits", "options", "message"),
    [
        ({"test": TRAIN}, "", "a dataset has a split 'train', got test: datasets:FOLDER/d"),
        (
            {"train": [{"x": "a", "y": "b"}]},
            "",
            "a dataset has the column 'text' (choose another with ,text=COLUMN), got x, y: PLACE",
        ),
        (
            {"train": [{"text": "a", "y": 1}]},
            ",label=x",
            "a dataset has the column 'x' (choose another with ,label=COLUMN), got text, y: PLACE",
        ),
        ({"train": [{"text": 1}]}, "", "the column 'text' holds text, got int: PLACE:0"),
        ({"train": [{"text": "a"}, {"text": None}]}, "", "has at least 4 sentences, got 1: PLACE"),
        (
            {"train": [{"text": "a", "y": 0.5}]},
            ",label=y",
            "the column 'y' holds names or whole numbers, got 0.5: PLACE:0",
        ),
        ({"train": [{"text": "a <s>"}]}, "", "are reserved and stand in no text, got <s>: PLACE:0"),
        ({"train": [{"text": "a"}] * 3}, "", "a file to split has at least 4 sentences, got 3: PLACE"),
        ({"train": [{"text": " "}]}, "", "a corpus file holds at least one sentence, got none: PLACE"),
        (
            {"train": [{"text": "a"}]},
            ",config=x",
            "a dataset can be loaded, got ValueError: BuilderConfig 'x' not found. Available: ['default']:"
            " datasets:FOLDER/d,config=x",
        ),
    ],
)
def test_bad_datasets(
    datasets: Any, folder: Path, splits: Mapping[str, Rows], options: str, message: str
) -> None:
    write_jsonl(folder / "d", splits)
    expected = message.replace("PLACE", "datasets:FOLDER/d[train]").replace("FOLDER", str(folder))
    assert refusal(f"./d{options}").endswith(expected)


def test_bad_folders(datasets: Any, folder: Path) -> None:
    (folder / "d").mkdir()
    assert f"EmptyDatasetError: The directory at {folder}/d doesn't contain any data files" in refusal("./d")
    assert "a dataset can be loaded, got FileNotFoundError" in refusal("./absent")
    (folder / "d" / "train.jsonl").write_text('{"text": "a", \n')
    assert "JSON parse error" in refusal("./d")
    save(datasets, folder / "s", SPLITS)
    assert refusal("./s,config=x") == (
        f"a dataset that was saved has no configurations, got config: datasets:{folder}/s,config=x"
    )


@pytest.mark.slow
def test_a_name_of_the_hub_without_a_network(datasets: Any, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.sweep", "--corpus", "datasets:nobody/nothing", "--dry-run"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: a dataset can be loaded, got ConnectionError: Couldn't reach 'nobody/nothing' on the Hub"
        " (OfflineModeIsEnabled): datasets:nobody/nothing\n"
    )


@pytest.mark.parametrize("shadow", [False, True])
def test_without_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch, shadow: bool) -> None:
    """Also where Python takes a folder of that name for the package."""
    module = type(sys)("datasets") if shadow else None
    monkeypatch.setitem(sys.modules, "datasets", module)  # type: ignore[arg-type]
    message = refusal("imdb")
    assert message.startswith(
        "datasets: needs the extra 'datasets', which is not installed; install it with "
    )
    assert message.endswith("python -m pip install -e '.[datasets]'")


# -- the training command ----------------------------------------------------------------------------


def test_a_single_training_over_a_dataset(
    datasets: Any, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = save(datasets, folder / "saved", SPLITS)
    corpus = load_corpus(DatasetSource(str(place)))
    arguments = ["--corpus", f"datasets:{place}", "--corpus-digest", corpus.digest, "--epochs", "1"]
    assert train(["--iw-samples", "1", "--set", "hidden_size=4", *arguments]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("corpus saved: 3 / 1 / 1 sentences, ")
    assert train(["--corpus", "datasets:absent", "--set", "x"]) == 2
    assert capsys.readouterr().err == "orchestrator.train: --set takes KNOB=VALUE, got 'x'\n"


CSV = """text,label
a b,None
c d,NA
"",x
e f,01
g h,1
i j,
k l,01
"""


def test_the_cells_of_a_csv_file_are_the_text_that_stands_there(datasets: Any, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "train.csv").write_text(CSV)
    for name in ("validation", "test"):
        (tmp_path / "d" / f"{name}.csv").write_text("text,label\nm n,None\n")
    corpus = load_corpus(DatasetSource.parse("./d,label=label"))
    assert corpus.label_names == ("01", "1", "NA", "None")
    assert corpus.label_counts == (2, 1, 1, 1)
    assert corpus.notes == ("rows left out, blank or without a label: 2",)
