"""Records whole learning curves on the embedded corpus, for the replay of searches in `benchmarks.search`.

    python -m benchmarks.record_curves --processes 2

draws configurations at random from the search spaces of the variants and trains each to its end on every
seed, as a sweep would (`epochs: auto`, the usual knobs of the corpus), and the baselines of all decoders in
use. A training that is in the file already is not run again, so the command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import optuna
import torch

from orchestrator.search.plan import SearchPlan
from orchestrator.search.trial_plan import TrialPlan
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.text.corpora import load_corpus
from trainables.text.splits import Corpus
from trainables.training.loop import DivergedError, Training
from trainables.variants import load_variant

CURVES = Path(__file__).parent / "curves.jsonl.gz"
CONFIGURATIONS = {"annealed": 24, "cyclical": 20, "dilated": 16, "free_bits": 16, "aggressive": 8}
OPTIONS: dict[str, Any] = {
    "variants": dict.fromkeys(CONFIGURATIONS),
    "baseline_trials": 0,
    "knobs": {
        "encoder": "pooled",
        "decoder": "dilated",
        "dropout": 0.2,
        "embedding_size": 32,
        "latent_size": 8,
        "batch_size": 64,
        "learning_rate": 0.004,
    },
}
"""Of the sweep whose trials these are: what was usual for the corpus when they were recorded, written out so
that what is added later is like them."""
KEPT = {
    "nll": 4,
    "kl": 4,
    "mutual_information": 3,
    "active_units": 0,
    "kl_weight": 4,
    "tokens": 0,
    "seconds": 2,
}
"""The metrics of an epoch that are recorded, with their digits behind the point."""


def planned(spec: SweepSpec, corpus: Corpus, seeds: int) -> Iterator[TrialPlan]:
    """All trainings, a seed after the other; within a seed a configuration of each variant in turns."""
    plan = SearchPlan.of(spec, corpus.longest)
    drawn = {each.variant: _drawn(plan, each.variant) for each in plan.variants}
    for seed in range(seeds):
        for baseline in plan.baselines:
            yield TrialPlan(baseline.variant, "baseline", baseline.knobs, seed, ())
        for number in range(1 + max(CONFIGURATIONS.values())):
            for found in drawn.values():
                if number < len(found):
                    each = found[number]
                    yield TrialPlan(each.variant, "trial", each.knobs, seed, each.searched)


def _drawn(plan: SearchPlan, variant: str) -> list[TrialPlan]:
    """The variant's default, and behind it configurations drawn at random."""
    found = next(each for each in plan.variants if each.variant == variant)
    knobs = load_variant(variant).with_knobs(found.knobs).knobs()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=zlib.crc32(variant.encode())))
    drawn = [study.ask(dict(found.distributions)).params for _ in range(CONFIGURATIONS[variant])]
    params = [{knob: knobs[knob] for knob in found.distributions}, *drawn]
    return [plan.searched_trial(found, number, values) for number, values in enumerate(params)]


def record(plan: TrialPlan, epochs: int, most: int) -> dict[str, Any]:
    """One training to its end; of one that diverged its whole epochs."""
    torch.set_num_threads(1)
    training = Training(plan.build(), _corpus(), epochs=epochs, max_epochs=most, seed=plan.seed)
    failure = None
    try:
        while not training.finished:
            training.run_epoch()
    except DivergedError as error:
        failure = str(error)
    rows = [epoch.named() for epoch in training.history]
    curves = {name: [_short(row[name], digits) for row in rows] for name, digits in KEPT.items()}
    return {**identity(plan), "best_epoch": training.best_epoch, "failure": failure, **curves}


def identity(plan: TrialPlan) -> dict[str, Any]:
    """What tells a training from others."""
    return {
        "variant": plan.variant,
        "decoder": plan.build().decoder_label,
        "knobs": {knob: plan.knobs[knob] for knob in plan.searched},
        "seed": plan.seed,
    }


def _short(value: float, digits: int) -> float:
    return round(value, digits) if digits else int(value)


def _corpus() -> Corpus:
    global _CORPUS
    if _CORPUS is None:
        _CORPUS = load_corpus(None)
    return _CORPUS


_CORPUS: Corpus | None = None


def read_curves(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--processes", type=int, default=1)
    options.add_argument("--file", type=Path, default=CURVES)
    asked = options.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spec = SweepSpec.load(None, OPTIONS)
    records = read_curves(asked.file)
    done = {
        json.dumps({name: each[name] for name in ("variant", "decoder", "knobs", "seed")}) for each in records
    }
    plans = [plan for plan in planned(spec, _corpus(), asked.seeds) if json.dumps(identity(plan)) not in done]
    print(f"{len(records)} trainings are in {asked.file}, {len(plans)} are to come", flush=True)
    with ProcessPoolExecutor(asked.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(record, plan, spec.epochs.planned, spec.epochs.most) for plan in plans]
        for number, future in enumerate(as_completed(futures), 1):
            found = future.result()
            line = json.dumps(found, separators=(",", ":")) + "\n"
            with asked.file.open("ab") as file:  # a gzip file is a row of members
                file.write(gzip.compress(line.encode(), mtime=0))
            print(
                f"{number}/{len(plans)} {found['variant']} seed {found['seed']}: "
                f"{len(found['nll'])} epochs, {found['seconds'][-1] if found['seconds'] else 0:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
