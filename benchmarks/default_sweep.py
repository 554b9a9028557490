"""The default sweep's trainings beside the same trainings by the code of an earlier commit.

    python -m benchmarks.default_sweep [--before COMMIT]

Both trees train the same variants with the same knobs on the same text, each in a process of its own, one
thread, in turns, for a few epochs: seconds an epoch, and seconds beside the epochs. The encoder is an LSTM,
the only one that was there before the default sweep's pooled one. The table goes to
docs/benchmarks/default_sweep.md.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import processor
from trainables.text.corpora import load_corpus
from trainables.text.splits import Split
from trainables.text.vocabulary import Vocabulary
from trainables.training.presets import EMBEDDED
from trainables.variants import load_variant

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "benchmarks" / "default_sweep.md"
BEFORE = "ef10ea6"
"""The last commit before the work on the speed of training."""
EPOCHS = 6
CASES: Mapping[str, Mapping[str, Any]] = {
    "language_model": {},
    "vanilla": {},
    "annealed": {"anneal_rate": 0.2, "anneal_delay": 4, "kl_start": 0.03},
    "cyclical": {"cycles": 4, "word_keep_rate": 0.9},
    "dilated": {"dilation": "M"},
    "aggressive": {"aggressive_epochs": 1},
}


def write_text(folder: Path) -> None:
    """The embedded corpus as files."""
    corpus = load_corpus(None)
    for name, split in {"train": corpus.train, "valid": corpus.valid, "test": corpus.test}.items():
        (folder / f"{name}.txt").write_text("\n".join(sentences(split, corpus.vocabulary)) + "\n")


def sentences(split: Split, vocabulary: Vocabulary) -> Iterator[str]:
    for number in range(len(split)):
        first, last = split.offsets[number] + 1, split.offsets[number + 1] - 1  # without the marks
        yield " ".join(vocabulary.decode(split.tokens[first:last].tolist()))


def packed(commit: str) -> bytes | None:
    """The files of a commit as a tar; None where this repository has none of that name."""
    done = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def trained(tree: Path, text: Path, variant: str) -> tuple[float, float, float]:
    """Seconds an epoch, seconds beside the epochs, and NLL + KL on validation at the end."""
    knobs = {**EMBEDDED.knobs_for(load_variant(variant)), **CASES[variant]}
    knobs.pop("encoder", None)
    result = text / "result.json"
    command = [sys.executable, "-m", "trainables.train", "--variant", variant, "--corpus", str(text)]
    command += ["--epochs", str(EPOCHS), "--iw-samples", "1", "--iw-sentences", "1", "--json", str(result)]
    for knob, value in knobs.items():
        command += ["--set", f"{knob}={value}"]
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    begin = time.perf_counter()
    subprocess.run(command, cwd=text, env=environment, check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - begin
    found = json.loads(result.read_text())
    seconds = found["cost"]["seconds"]
    return seconds / EPOCHS, whole - seconds, found["history"][-1]["nll_plus_kl"]


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--before", default=BEFORE, metavar="COMMIT")
    options.add_argument("--rounds", type=int, default=3)
    asked = options.parse_args(arguments)
    files = packed(asked.before)
    if files is None:
        options.error(f"--before must be a commit of this repository, got {asked.before!r}")
    lines = [
        "# The default sweep's trainings, before and now",
        "",
        f"`python -m benchmarks.default_sweep --before {asked.before}`, {date.today()}, {processor()}, one "
        f"thread, torch {torch.__version__.partition('+')[0]}; the embedded corpus, the default sweep's "
        f"knobs but for the encoder, an LSTM, {EPOCHS} epochs (of aggressive training 1 with inner steps), "
        f"{asked.rounds} rounds in turns. Medians; ratio: now over before, below 1 is faster. Beside "
        "the epochs: imports, reading, the examination at the end with one sample. Dropout draws other noise "
        "now, so the figures differ as those of two seeds do.",
        "",
        "| variant | s an epoch: before | now | ratio | s beside: before | now | NLL + KL: before | now |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        tree, text = Path(folder, "before"), Path(folder, "text")
        text.mkdir()
        write_text(text)
        with tarfile.open(fileobj=io.BytesIO(files)) as archive:
            archive.extractall(tree, filter="data")
        for variant in CASES:
            found = [[trained(each, text, variant) for each in (tree, ROOT)] for _ in range(asked.rounds)]
            ratio = statistics.median(now[0] / before[0] for before, now in found)
            cells = [
                f"{statistics.median(pair[side][which] for pair in found):.{digits}f}"
                for which, digits in enumerate((2, 1, 2))
                for side in range(2)
            ]
            cells.insert(2, f"{ratio:.2f}")
            lines.append(f"| {variant} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    lines += ["", "Not measured: trainings to their end, several at a time, Ray, GPUs.", ""]
    TARGET.write_text("\n".join(lines), encoding="utf-8")
    print(f"written: {TARGET}")


if __name__ == "__main__":
    main()
