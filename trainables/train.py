"""Trains one configuration, an epoch a line: `python -m trainables.train --variant cyclical`.

Needs torch and numpy alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from trainables.common.cpu import prepare_cpu
from trainables.common.output import run
from trainables.model.variant import Variant
from trainables.parts.part import KnobError, parse_knob
from trainables.text.corpora import KINDS, USUAL, Corpus, CorpusError, MakeSource, load_corpus
from trainables.text.sources import parse_source
from trainables.training.loop import DivergedError, Training
from trainables.training.presets import PRESETS, Preset, load_preset, usual_preset
from trainables.training.records import EpochMetrics, FinalMetrics
from trainables.variants import load_variant, variant_names

ALL = "all"  # a vocabulary's size: all words
EPOCHS = 12
INTERRUPTED = 130


def main(
    arguments: Sequence[str] | None = None,
    *,
    kinds: Mapping[str, MakeSource] = KINDS,
    name: str = "trainables.train",
) -> int:
    """Trains and prints; returns the exit status: 0, 1 for a diverged training, 2 for bad input, 130 where
    it was interrupted.

    Args:
        kinds: of corpora, as `sources.parse_source` takes them.
        name: of the module that is run.
    """
    try:
        return _trained(parser(name).parse_args(arguments), kinds, name)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _trained(options: argparse.Namespace, kinds: Mapping[str, MakeSource], name: str) -> int:
    try:
        _check(options)
        variant = variant_of(options)
        corpus = _corpus(options, kinds)
        prepare_cpu(options.threads)
        training = Training(
            variant,
            corpus,
            epochs=_epochs(options),
            max_epochs=options.max_epochs,
            seed=options.seed,
            device=options.device,
        )
    except ValueError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    floor = "" if corpus.entropy_floor is None else f"  entropy floor {corpus.entropy_floor:.2f} nats"
    print(f"{variant.name} ({variant.paper})")
    print(
        f"corpus {corpus.name}: {len(corpus.train):,} / {len(corpus.valid):,} / {len(corpus.test):,} "
        f"sentences, {len(corpus.vocabulary):,} words{floor}"
    )
    for note in corpus.notes:
        print(f"note: {note}")
    try:
        _run(training)
    except DivergedError as error:
        print(f"diverged: {error}", file=sys.stderr)
        _write(options, training, None)
        return 1
    final = training.final_metrics(iw_samples=options.iw_samples, iw_sentences=options.iw_sentences)
    _print_final(training, final)
    _write(options, training, final)
    return 0


def variant_of(options: argparse.Namespace) -> Variant:
    """The variant that is to be trained.

    Raises:
        ValueError: there is no such variant, preset or knob, or a knob does not take its value.
    """
    preset = load_preset(options.preset) if options.preset else usual_preset(options.corpus)
    return _with_settings(load_variant(options.variant), options.set, preset)


def _epochs(options: argparse.Namespace) -> int:
    usual = load_preset(options.preset).epochs if options.preset else EPOCHS
    return int(getattr(options, "epochs", usual))


def _corpus(options: argparse.Namespace, kinds: Mapping[str, MakeSource]) -> Corpus:
    corpus = load_corpus(
        parse_source(options.corpus, kinds),
        seed=options.seed if options.corpus_seed is None else options.corpus_seed,
        vocabulary_size=getattr(options, "vocabulary_size", USUAL),
        max_sentences=options.max_sentences,
        deduplicate=options.deduplicate,
    )
    if options.corpus_digest not in (None, corpus.digest):
        raise CorpusError(
            f"--corpus-digest: the corpus must be as it was, {options.corpus_digest}, got another text,"
            f" vocabulary or split, {corpus.digest}: {corpus.source}"
        )
    return corpus


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
    for name in ("seed", "corpus_seed"):
        value = getattr(options, name)
        if value is not None and not 0 <= value < 2**32:
            raise ValueError(f"--{name.replace('_', '-')} must be in [0, 2^32), got {value}")
    if options.json:
        try:
            options.json.open("a").close()
        except OSError as error:
            raise ValueError(
                f"--json must be a file that can be written, got {error.strerror!r}: {options.json}"
            ) from None


def _run(training: Training) -> None:
    print(
        "epoch     NLL      KL  NLL+KL    MI  AU  KL weight  inner steps   words/s    time left", flush=True
    )
    start = time.perf_counter()
    while not training.finished:
        tokens, began = training.cost.tokens, time.perf_counter()
        epoch = training.run_epoch()
        now = time.perf_counter()
        valid, left = epoch.valid, (now - start) / epoch.epoch * max(0, training.epochs - epoch.epoch)
        print(
            f"{epoch.epoch:5d} {valid.nll:7.3f} {valid.kl:7.3f} {valid.nll_plus_kl:7.3f} "
            f"{valid.mutual_information:5.2f} {valid.active_units:3d} {epoch.kl_weight:10.3f} "
            f"{epoch.cost.inner_steps:12,d} {(epoch.cost.tokens - tokens) / (now - began):9,.0f} "
            f"{left:10.0f} s",
            flush=True,
        )


def _write(options: argparse.Namespace, training: Training, final: FinalMetrics | None) -> None:
    """Writes the figures where `--json` says; `final` is None where the training diverged."""
    if options.json:
        options.json.write_text(json.dumps(_record(training, options.seed, training.history, final)))


def _record(
    training: Training, seed: int, history: Sequence[EpochMetrics], final: FinalMetrics | None
) -> dict[str, Any]:
    """What `--json` writes; `losses` is NLL + KL of each test sentence, for paired comparisons. Of a training
    that diverged it is the whole epochs before, and neither final figures nor losses."""
    return {
        "variant": training.variant.name,
        "knobs": training.variant.knobs(),
        "corpus": training.corpus.name,
        "seed": seed,
        "epochs": training.epochs,
        "device": str(training.device),
        "history": [epoch.named() for epoch in history],
        "final": final.named() if final else {},
        "cost": dataclasses.asdict(training.cost),
        "losses": [round(float(loss), 5) for loss in final.losses_N] if final else [],
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


def _with_settings(variant: Variant, settings: Sequence[str], preset: Preset | None) -> Variant:
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
        variant = variant.with_knobs(preset.knobs_for(variant, texts))
    values = {knob: parse_knob(variant, knob, text) for knob, text in texts.items() if knob not in slots}
    return variant.with_knobs(values)


def _vocabulary_size(text: str) -> int | None:
    try:
        return None if text == ALL else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number or {ALL}, got {text!r}") from None


def parser(name: str = "trainables.train") -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {name}",
        description="Train one text VAE and print an epoch a line. Figures are nats per sentence.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        epilog="Exit status: 0 done, 1 it diverged, 2 a mistake in what was asked for, 130 interrupted.",
    )
    parser.add_argument("--variant", default="vanilla", help=f"one of {', '.join(variant_names())}")
    parser.add_argument("--corpus", default="embedded", help="folder with train, valid and test files, one "
                        "text file, or as published ptb:PATH, yahoo:PATH, yelp:PATH, snli:PATH")  # fmt: skip
    parser.add_argument("--preset", help=f"published procedure: {', '.join(PRESETS)}; --set goes before it")
    parser.add_argument("--epochs", type=int, default=argparse.SUPPRESS, metavar="N", help="planned epochs "
                        "(default: 12, or as published)")  # fmt: skip
    parser.add_argument("--max-epochs", type=int, metavar="N", help="train on beyond --epochs while "
                        "validation improves, up to so many")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus-seed", type=int, metavar="SEED", help="seed of the corpus: its split, the "
                        "choice of sentences, the embedded one; --seed by default")  # fmt: skip
    parser.add_argument("--corpus-digest", metavar="HEX", help="refuse a corpus with another fingerprint")
    parser.add_argument("--set", action="append", default=[], metavar="KNOB=VALUE", help="set a knob")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")
    parser.add_argument("--threads", type=int, help="CPU threads; torch's choice by default")
    parser.add_argument("--max-sentences", type=int, help="training sentences to keep")
    parser.add_argument("--deduplicate", action="store_true", help="leave a sentence that stands in several "
                        "splits in the last of them alone")  # fmt: skip
    parser.add_argument("--vocabulary-size", type=_vocabulary_size, default=argparse.SUPPRESS, metavar="N",
                        help=f"most words to keep, or {ALL} (default: 10000, or as published)")  # fmt: skip
    parser.add_argument("--iw-samples", type=int, default=100, help="samples of z for the IW-NLL")
    parser.add_argument("--iw-sentences", type=int, default=200, help="test sentences for the IW-NLL")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there as JSON")
    return parser


if __name__ == "__main__":
    run(lambda: sys.exit(main()))
