"""Which sampler and which stopping rule find the frontier, and how much training each needs.

    python -m benchmarks.search --processes 2

replays searches on the recorded learning curves and writes docs/benchmarks/search.md. What a search has
found is judged by the mean of all seeds: the gain is the area, in nats², by which the frontier of NLL over
KL lies below the line NLL + KL = that of the baseline.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import optuna
import torch
from scipy.stats import spearmanr

from benchmarks.machine import processor
from benchmarks.record_curves import CURVES, OPTIONS
from benchmarks.recorded import Configuration, gain, read_table
from benchmarks.replay import RAY, TRIALS, Strategy, replay
from orchestrator.search.ranking import Ranking
from orchestrator.search.rungs import HalvingRule
from trainables.text.corpora import load_corpus

TARGET = Path(__file__).parents[1] / "docs" / "benchmarks" / "search.md"
SHARES = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
PATIENCE = 10
RANDOM = "random search"
DEFAULT = "**auto** (the default)"
HINDSIGHT = {
    True: "*in hindsight*: what wins most a token first, equal tokens for each variant",
    False: "*in hindsight*: what wins most a token first",
}
STOPPED = "auto, collapsed trials stopped"
STRATEGIES = (
    Strategy(RANDOM, "random", default=False, quota="trials"),
    Strategy("Ray Tune's OptunaSearch", RAY, default=False, quota="trials"),
    Strategy("Optuna's NSGA-II", "nsga2", constrained=False, default=False, quota="trials"),
    Strategy("TPE on NLL + KL", "tpe", objective="elbo", default=False, quota="trials"),
    Strategy("ASHA on NLL + KL (TPE; rungs at epochs 4, 12, 36)", "tpe", objective="elbo", default=False,
             quota="trials", halving=HalvingRule(3, 4, 3, Ranking(0.0, 1.0)), from_annealed=False),
    Strategy("random", "random"),
    Strategy("tpe", "tpe"),
    Strategy("nsga2", "nsga2"),
    Strategy("gp", "gp", repeats=12),
    Strategy(DEFAULT, "auto"),
    Strategy("auto, equal trials", "auto", quota="trials"),
    Strategy("tpe, equal: nothing", "tpe", quota="nothing"),
    Strategy("auto, equal: nothing", "auto", quota="nothing"),
    Strategy("auto, dominated trials stopped", "auto", dominated=True),
    Strategy(STOPPED, "auto", prune=PATIENCE),
    Strategy(f"{STOPPED}, halving: η 3, rungs 4 and 12 epochs behind annealing", "auto", prune=PATIENCE,
             halving=HalvingRule(3, 4, 2)),
    Strategy(f"{STOPPED}, halving: η 2, a rung 12 epochs behind annealing", "auto", prune=PATIENCE,
             halving=HalvingRule(2, 12, 1)),
)  # fmt: skip


@cache
def recorded() -> dict[str, list[Configuration]]:
    return read_table(CURVES)


@cache
def longest() -> int:
    return load_corpus(None).longest


def budget() -> float:
    """Tokens of so many trials of each variant."""
    costs = [[curve.tokens[-1] for each in found for curve in each.curves] for found in recorded().values()]
    return TRIALS * sum(float(np.mean(each)) for each in costs)


def path_of(place: int, seed: int) -> list[tuple[float, float]]:
    """One replay: the share of the budget spent, and the gain, after each trial that ended."""
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    torch.set_num_threads(1)
    strategy = STRATEGIES[place]
    path = replay(strategy, recorded(), strategy.plan(seed, longest()), seed, budget())
    return [(spent / budget(), reached) for spent, reached in path]


def hindsight(seed: int, *, equal: bool) -> list[tuple[float, float]]:
    """The same of one who knows how each training ends, and takes what wins most a token: of all that is
    left, or with equal tokens for each variant. No search can; it is how much there was to win."""
    left = {variant: list(found) for variant, found in recorded().items()}
    spent = dict.fromkeys(left, 0.0)
    taken: list[Configuration] = []
    path = [(0.0, 0.0)]

    def cost(one: Configuration) -> float:
        return float(one.curves[seed].tokens[-1])

    def worth(one: Configuration) -> tuple[float, float]:
        won = gain([each.true for each in (*taken, one)]) - path[-1][1]
        return won / cost(one), -cost(one)

    while path[-1][0] < 1 and any(left.values()):
        variants = [variant for variant, found in left.items() if found]
        turn = [min(variants, key=spent.__getitem__)] if equal else variants
        best = max((each for variant in turn for each in left[variant]), key=worth)
        left[best.variant].remove(best)
        taken.append(best)
        spent[best.variant] += cost(best)
        path.append((sum(spent.values()) / budget(), gain([each.true for each in taken])))
    return path


def gains(paths: Sequence[Sequence[tuple[float, float]]]) -> np.ndarray:
    """Of each path the gain at each share of the budget."""
    return np.array(
        [[max(reached for spent, reached in path if spent <= share) for share in SHARES] for path in paths]
    )


def needed(paths: Sequence[Sequence[tuple[float, float]]], goal: float) -> float:
    """The median share of the budget until the goal is reached; infinite where most do not reach it."""
    first = [min((spent for spent, reached in path if reached >= goal), default=np.inf) for path in paths]
    return float(np.median(first))


def search_table(paths: Mapping[int, Sequence[Sequence[tuple[float, float]]]]) -> Iterator[str]:
    """A row a strategy."""
    goal = float(np.median(gains(paths[0])[:, -1]))
    yield "| search | " + " | ".join(f"{share:.0%}" for share in SHARES) + " | to random's end |"
    yield "|---|" + "---:|" * (len(SHARES) + 1)
    seeds = range(len(next(iter(recorded().values()))[0].curves))
    rows = {strategy.name: paths[place] for place, strategy in enumerate(STRATEGIES)}
    for equal, name in HINDSIGHT.items():
        rows[name] = [hindsight(seed, equal=equal) for seed in seeds]
    for name, found in rows.items():
        low, middle, high = np.quantile(gains(found), (0.25, 0.5, 0.75), axis=0)
        cells = [f"{b:.2f} ({a:.2f}–{c:.2f})" for a, b, c in zip(low, middle, high, strict=True)]
        share = needed(found, goal)
        yield f"| {name} | {' | '.join(cells)} | {f'{share:.0%}' if np.isfinite(share) else '–'} |"


def dominated_table() -> Iterator[str]:
    """The same number of trials with and without those that are stopped as dominated."""
    yield "| sampler | tokens | gain: least | lower quartile | median |"
    yield "|---|---:|---:|---:|---:|"
    for sampler in ("tpe", "auto"):
        ends = {
            dominated: [
                replay(strategy, recorded(), strategy.plan(seed, longest()), seed, math.inf, TRIALS)[-1]
                for seed in range(strategy.repeats)
            ]
            for dominated in (False, True)
            for strategy in [Strategy(sampler, sampler, quota="trials", dominated=dominated, repeats=12)]
        }
        tokens, gained = (np.array(ends[True]) / np.array(ends[False])).T
        cells = [f"{share:.1%}" for share in np.quantile(gained, (0.0, 0.25, 0.5))]
        yield f"| {sampler} | {np.median(tokens):.0%} | {' | '.join(cells)} |"


def rank_table() -> Iterator[str]:
    """How early a variant's trials can be told apart."""
    offsets = (0, 4, 8, 12, 20)
    yield "| variant | curves | " + " | ".join(f"{offset} epochs" for offset in offsets) + " |"
    yield "|---|---:|" + "---:|" * len(offsets)
    for variant, found in recorded().items():
        curves = [curve for each in found for curve in each.curves]
        cells = []
        for offset in offsets:
            ends = [min(len(curve.points), max(1, curve.annealed + offset)) for curve in curves]
            early = [curve.best(end).nll_plus_kl for curve, end in zip(curves, ends, strict=True)]
            final = [curve.final.nll_plus_kl for curve in curves]
            cells.append(f"{spearmanr(early, final).statistic:.2f}")
        yield f"| {variant} | {len(curves)} | {' | '.join(cells)} |"


def collapse_table() -> Iterator[str]:
    """What becomes of trials that have been dead for so long."""
    yield "| patience | stopped | of them KL > 0.5 in the end | and a gain > 0.1 | tokens saved |"
    yield "|---:|---:|---:|---:|---:|"
    curves = [curve for found in recorded().values() for each in found for curve in each.curves]
    for patience in (2, 3, 5, 8, PATIENCE, 15):
        stopped = [
            (curve, next(epoch for epoch, dead in enumerate(curve.collapsed) if dead >= patience))
            for curve in curves
            if max(curve.collapsed) >= patience
        ]
        back = [curve for curve, _ in stopped if curve.final.kl > 0.5]
        better = [curve for curve in back if curve.final.nll_plus_kl < -0.1]
        saved = sum(curve.tokens[-1] - curve.tokens[epoch] for curve, epoch in stopped)
        share = saved / sum(curve.tokens[-1] for curve in curves)
        yield f"| {patience} | {len(stopped)} of {len(curves)} | {len(back)} | {len(better)} | {share:.0%} |"


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--processes", type=int, default=1)
    options.add_argument("--repeats", type=int, help="replays of each strategy; 30 by default, 12 of gp")
    asked = options.parse_args(arguments)
    work = [
        (place, seed)
        for place, strategy in enumerate(STRATEGIES)
        for seed in range(asked.repeats or strategy.repeats)
    ]
    paths: dict[int, list[list[tuple[float, float]]]] = {place: [] for place in range(len(STRATEGIES))}
    with ProcessPoolExecutor(asked.processes, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(path_of, *each): each for each in work}
        for number, future in enumerate(as_completed(futures), 1):
            paths[futures[future][0]].append(future.result())
            if number % 20 == 0 or number == len(work):
                print(f"{number} of {len(work)} replays", flush=True)
    table = recorded()
    counts = ", ".join(f"{len(found)} of {variant}" for variant, found in table.items())
    whole = gain([each.true for found in table.values() for each in found])
    versions = (torch.__version__.partition("+")[0], optuna.__version__)
    size, tokens = sum(map(len, table.values())), budget() / 1e6
    seeds, encoder = len(next(iter(table.values()))[0].curves), OPTIONS["knobs"]["encoder"]
    TARGET.write_text(
        f"""# Searches, replayed on recorded learning curves

`python -m benchmarks.search`, {date.today()}, {processor()}, torch {versions[0]}, Optuna {versions[1]}. No
training is done: the curves of {size} configurations ({counts}; each variant's default, the others drawn at
random from its search space) on {seeds} seeds each were recorded by `python -m benchmarks.record_curves` as
the default sweep trains (embedded corpus, {encoder} encoder, dilated decoder, `epochs: auto`) and lie in
`benchmarks/curves.jsonl.gz`.

**Gain**: the area in nats² by which the frontier of what was trained to its end, KL from 0.5 on, lies below
the line NLL + KL = that of the baseline; of each configuration the mean of its seeds. All that is recorded
together has {whole:.2f}. **Budget**: the tokens of {TRIALS} trials of each variant, {tokens:.0f} M. Medians
(quartiles) over 30 replays, 12 of `gp`; the last column is the median share of the budget until what random
search has at its end.

The upper five are those searches as they come: no default first, as many trials for each variant. The
others are this project's: each variant's default first, NLL and KL under constraints, equal tokens for each
variant unless said otherwise. With `equal: nothing` the next trial is of the variant whose trials promise
most for their cost. The last two are no searches: they know how each training ends, and say how few tokens
could do at all.

{chr(10).join(search_table(paths))}

## Dominated trials stopped

`stop_dominated` with {TRIALS} trials of each variant, 12 replays, beside the same without it: tokens, and the
gain in the end.

{chr(10).join(dominated_table())}

## Do early ranks foretell final ones?

Spearman's correlation of the lowest NLL + KL so many epochs behind the end of the annealing with the final
one.

{chr(10).join(rank_table())}

## Trials that have collapsed

Dead for so many epochs in a row behind the end of the annealing: no active unit, mutual information below
0.1. The last column is the share of all recorded tokens that stopping them there would have saved.

{chr(10).join(collapse_table())}

Not measured: other corpora, larger models, several trials at a time, continuous choice (a proposal is taken
to be the nearest recorded configuration, so that a model of the space gains less here than it may in a
sweep), budgets beyond the recorded configurations.
""",
        encoding="utf-8",
    )
    print(f"written: {TARGET}")


if __name__ == "__main__":
    main()
