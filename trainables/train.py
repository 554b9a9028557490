"""Trains one configuration, an epoch a line: `python -m trainables.train --variant cyclical`.

Needs torch and numpy alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from trainables.corpora import USUAL, load_corpus
from trainables.parts import KnobError, parse_knob
from trainables.presets import PRESETS, load_preset
from trainables.records import EpochMetrics, FinalMetrics
from trainables.training import DivergedError, Training
from trainables.variant import Variant, load_variant, variant_names


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains and prints; returns the exit status: 0, 1 for a diverged training, 2 for bad input."""
    options = _parser().parse_args(arguments)
    try:
        _check(options)
        variant = _with_settings(load_variant(options.variant), options.set, options.preset)
        corpus = load_corpus(
            options.corpus,
            seed=options.seed,
            vocabulary_size=getattr(options, "vocabulary_size", USUAL),
            max_sentences=options.max_sentences,
        )
        if options.threads:
            torch.set_num_threads(options.threads)
        training = Training(variant, corpus, epochs=options.epochs, seed=options.seed, device=options.device)
    except ValueError as error:
        print(f"trainables.train: {error}", file=sys.stderr)
        return 2
    floor = "" if corpus.entropy_floor is None else f"  entropy floor {corpus.entropy_floor:.2f} nats"
    print(f"{variant.name} ({variant.paper})")
    print(
        f"corpus {corpus.name}: {len(corpus.train):,} / {len(corpus.valid):,} / {len(corpus.test):,} "
        f"sentences, {len(corpus.vocabulary):,} words{floor}"
    )
    try:
        history = _run(training)
    except DivergedError as error:
        print(f"diverged: {error}", file=sys.stderr)
        return 1
    final = training.final_metrics(iw_samples=options.iw_samples, iw_sentences=options.iw_sentences)
    _print_final(training, final)
    if options.json:
        options.json.write_text(json.dumps(_record(training, options.seed, history, final)))
    return 0


def _check(options: argparse.Namespace) -> None:
    """Raises ValueError for what would fail only once the training has begun, or has ended."""
    for name in ("threads", "iw_samples", "iw_sentences"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be >= 1, got {value}")
    try:
        torch.empty(0, device=options.device)
    except (RuntimeError, AssertionError):  # the latter where torch is built without CUDA
        raise ValueError(f"--device must be one that torch can use here, got {options.device!r}") from None
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"--seed must be in [0, 2^32), got {options.seed}")
    if options.json:
        try:
            options.json.open("a").close()
        except OSError as error:
            raise ValueError(
                f"--json must be a file that can be written, got {error.strerror!r}: {options.json}"
            ) from None


def _run(training: Training) -> list[EpochMetrics]:
    history: list[EpochMetrics] = []
    print(
        "epoch     NLL      KL  NLL+KL    MI  AU  KL weight  inner steps   words/s    time left", flush=True
    )
    start = time.perf_counter()
    while not training.finished:
        tokens, began = training.cost.tokens, time.perf_counter()
        epoch = training.run_epoch()
        history.append(epoch)
        now = time.perf_counter()
        valid, left = epoch.valid, (now - start) / epoch.epoch * (training.epochs - epoch.epoch)
        print(
            f"{epoch.epoch:5d} {valid.nll:7.3f} {valid.kl:7.3f} {valid.nll_plus_kl:7.3f} "
            f"{valid.mutual_information:5.2f} {valid.active_units:3d} {epoch.kl_weight:10.3f} "
            f"{epoch.cost.inner_steps:12,d} {(epoch.cost.tokens - tokens) / (now - began):9,.0f} "
            f"{left:10.0f} s",
            flush=True,
        )
    return history


def _record(
    training: Training, seed: int, history: Sequence[EpochMetrics], final: FinalMetrics
) -> dict[str, Any]:
    """What `--json` writes; `losses` is NLL + KL of each test sentence, for paired comparisons."""
    return {
        "variant": training.variant.name,
        "knobs": training.variant.knobs(),
        "corpus": training.corpus.name,
        "seed": seed,
        "epochs": training.epochs,
        "device": str(training.device),
        "history": [epoch.named() for epoch in history],
        "final": final.named(),
        "cost": dataclasses.asdict(training.cost),
        "losses": [round(float(loss), 5) for loss in final.losses_N],
    }


def _print_final(training: Training, final: FinalMetrics) -> None:
    test, weighted = final.test, final.importance_weighted
    print(f"test, at the best epoch ({final.best_epoch}), nats per sentence:")
    print(
        f"  NLL {test.nll:.3f}  KL {test.kl:.3f}  NLL + KL {test.nll_plus_kl:.3f} "
        f"± {test.nll_plus_kl_se:.3f}  perplexity {test.perplexity:.2f}"
    )
    print(
        f"  mutual information {test.mutual_information:.2f} (N = {test.mutual_information_sentences:,}, "
        f"ln N = {test.mutual_information_cap:.2f})  active units {test.active_units}"
    )
    print(
        f"  IW-NLL {weighted.iw_nll:.3f} ± {weighted.iw_nll_se:.3f} "
        f"({weighted.samples} samples, {weighted.sentences} sentences)"
    )
    cost = dataclasses.asdict(training.cost)
    print("  cost: " + ", ".join(f"{name.replace('_', ' ')} {value:,.0f}" for name, value in cost.items()))


def _with_settings(variant: Variant, settings: Sequence[str], preset: str | None) -> Variant:
    """Sets `knob=value` texts over a preset; slots first, because they decide which knobs there are."""
    texts: dict[str, str] = {}
    for setting in settings:
        knob, equals, text = setting.partition("=")
        if not equals:
            raise KnobError(f"--set takes KNOB=VALUE, got {setting!r}")
        texts[knob] = text
    slots = {knob: text for knob, text in texts.items() if knob in variant.slots()}
    variant = variant.with_knobs(slots)
    if preset is not None:
        variant = variant.with_knobs(load_preset(preset).knobs_for(variant, texts))
    values = {knob: parse_knob(variant, knob, text) for knob, text in texts.items() if knob not in slots}
    return variant.with_knobs(values)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainables.train",
        description="Train one text VAE and print an epoch a line. Figures are nats per sentence.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--variant", default="vanilla", help=f"one of {', '.join(variant_names())}")
    parser.add_argument("--corpus", default="embedded", help="folder with train, valid and test files, one "
                        "text file, or as published ptb:PATH, yahoo:PATH, yelp:PATH, snli:PATH")  # fmt: skip
    parser.add_argument("--preset", help=f"published procedure: {', '.join(PRESETS)}; --set goes before it")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KNOB=VALUE", help="set a knob")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")
    parser.add_argument("--threads", type=int, help="CPU threads; torch's choice by default")
    parser.add_argument("--max-sentences", type=int, help="training sentences to keep")
    parser.add_argument("--vocabulary-size", type=int, default=argparse.SUPPRESS,
                        help="most words to keep (default: 10000, or as published)")  # fmt: skip
    parser.add_argument("--iw-samples", type=int, default=100, help="samples of z for the IW-NLL")
    parser.add_argument("--iw-sentences", type=int, default=200, help="test sentences for the IW-NLL")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
