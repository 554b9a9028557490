"""`python -m trainables.train`: what it prints and its exit status."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT
from trainables.text.grammar import embedded_corpus
from trainables.train import main

FEW = ["--max-sentences", "48", "--iw-samples", "2", "--iw-sentences", "4", "--threads", "1"]
NARROW = [
    item for knob in ("hidden_size=12", "embedding_size=6", "latent_size=3") for item in ("--set", knob)
]

CYCLICAL = ["--variant", "cyclical", "--set", "cycles=4"]


def train(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str], list[str]]:
    """Exit status, lines of standard output, lines of standard error."""
    status = main([*FEW, *NARROW, *arguments])
    captured = capsys.readouterr()
    return status, captured.out.splitlines(), captured.err.splitlines()


def test_the_command_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trainables.train", *FEW, *NARROW, *CYCLICAL, "--epochs", "2"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    title, corpus, header, first, second, *final = done.stdout.splitlines()
    assert title.startswith("cyclical (Fu et al. 2019")
    assert corpus.startswith("corpus embedded: 48 / 4 / 4 sentences, 127 words  entropy floor ")
    columns = ["epoch", "NLL", "KL", "NLL+KL", "MI", "AU", "KL weight", "inner steps", "words/s", "time left"]
    assert re.split(r" {2,}", header) == columns
    for number, line in enumerate((first, second), 1):
        epoch, nll, kl, total = (float(part) for part in line.split()[:4])
        assert (epoch, line[-2:]) == (number, " s")
        assert total == pytest.approx(nll + kl, abs=0.0016)
    assert final[0].startswith("test, at the best epoch (2), nats per sentence:")
    assert [line.split()[0] for line in final[1:]] == ["NLL", "mutual", "IW-NLL", "cost:"]
    assert re.search(r"cost: optimizer steps \d+, inner steps 0, tokens [\d,]+, seconds \d+$", final[-1])


def test_settings_reach_the_variant(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    slots = ["--set", "dilation=M", "--set", "decoder=dilated"]  # the slot may come after its part's knob
    status, out, err = train(capsys, "--epochs", "1", *slots, "--set", "beta=0.5", "--json", str(file))
    assert (status, err) == (0, [])
    record = json.loads(file.read_text())
    knobs = record["knobs"]
    assert (knobs["decoder"], knobs["beta"], knobs["hidden_size"]) == ("dilated", 0.5, 12)
    assert record["variant"] == "vanilla"
    assert len(record["history"]) == 1
    assert f"{record['history'][0]['nll']:7.3f}" in out[3]


def test_the_seed_decides_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    def figures(seed: int) -> list[str]:
        _, out, _ = train(capsys, "--epochs", "1", "--seed", str(seed))
        return [line for line in out[4:] if "cost" not in line]

    assert figures(1) == figures(1) != figures(2)


def test_a_diverging_training_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = train(capsys, "--epochs", "2", "--set", "learning_rate=1e30")
    assert status == 1
    assert len(err) == 1
    assert err[0].startswith("diverged: loss not finite or beyond hope in epoch 1")
    assert len(out) == 3  # and no final figures


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variant", "cyclical", "--set", "cycels=4"], "no knob 'cycels'"),
        (["--variant", "cyclical", "--set", "cycles=0"], "cycles must be >= 1, got 0"),
        (["--variant", "cyclical", "--set", "cycles=x"], "cycles"),
        (["--set", "cycles"], "--set takes KNOB=VALUE, got 'cycles'"),
        (["--set", "codes=2"], "no knob 'codes'"),
        (["--set", "decoder=lstn"], "lstn"),
        (["--variant", "cyclicla"], "cyclicla"),
        (["--corpus", "absent"], "a corpus is a folder or a text file, got a path that does not exist"),
        (["--epochs", "0"], "epochs must be >= 1, got 0"),
        (["--max-sentences", "0"], "got 0"),
        (["--device", "tpu9"], "--device must be one that torch can use here, got 'tpu9'"),
        (["--threads", "0"], "--threads must be >= 1, got 0"),
        (["--corpus-seed", "-1"], "--corpus-seed must be in [0, 2^32), got -1"),
        (["--corpus", "datasets:a/b"], "`python -m orchestrator.train` alone, got 'datasets:a/b'"),
        (["--iw-samples", "0"], "--iw-samples must be >= 1, got 0"),
        (["--json", "absent/run.json"], "--json must be a file that can be written"),
    ],
)
def test_bad_input_ends_with_2_and_a_line_or_two(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    status, out, err = train(capsys, *arguments)
    assert (status, out) == (2, [])
    assert 1 <= len(err) <= 2
    assert err[0].startswith("trainables.train: ")
    assert message in err[0]


def test_a_bad_corpus(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    status, out, err = train(capsys, "--corpus", str(tmp_path / "empty.txt"))
    assert (status, out) == (2, [])
    assert 1 <= len(err) <= 2
    assert "empty.txt" in err[0]


@pytest.mark.parametrize("arguments", [["--epochs", "two"], ["--nothing"], ["--vocabulary-size", "most"]])
def test_bad_options_end_with_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        train(capsys, *arguments)
    assert ended.value.code == 2


def test_the_seed_of_the_corpus_is_that_of_the_training_unless_given(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def losses(*arguments: str) -> list[float]:
        file = tmp_path / "run.json"
        assert train(capsys, "--epochs", "1", *arguments, "--json", str(file))[0] == 0
        found: list[float] = json.loads(file.read_text())["losses"]
        return found

    both = losses("--seed", "1")
    assert losses("--seed", "1", "--corpus-seed", "1") == both
    assert losses("--seed", "1", "--corpus-seed", "2") != both
    assert losses("--seed", "2", "--corpus-seed", "1") != both


def test_a_corpus_with_another_fingerprint_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    digest = embedded_corpus(5, (48, 4, 4)).digest
    right = ["--epochs", "1", "--corpus-seed", "5", "--corpus-digest", digest]
    assert train(capsys, *right)[0] == 0
    status, out, err = train(capsys, *right, "--corpus-seed", "6")
    assert (status, out) == (2, [])
    assert err == [
        f"trainables.train: --corpus-digest: the corpus must be as it was, {digest}, got another text,"
        f" vocabulary or split, {embedded_corpus(6, (48, 4, 4)).digest}: embedded"
    ]


def test_all_words_and_few(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n".join(f"a b{number}" for number in range(40)))
    arguments = ["--corpus", str(tmp_path / "text.txt"), "--epochs", "1"]
    words = {
        size: train(capsys, *arguments, "--vocabulary-size", size)[1][1].rsplit(", ", 1)[1]
        for size in ("all", "7")
    }
    assert words == {"all": "37 words", "7": "7 words"}  # 32 of 40 sentences, "a", 4 special ones


def test_a_diverged_training_leaves_its_whole_epochs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "run.json"
    status, _, _ = train(capsys, "--epochs", "2", "--set", "learning_rate=1e30", "--json", str(file))
    record = json.loads(file.read_text())
    assert (status, record["history"], record["final"], record["losses"]) == (1, [], {}, [])
