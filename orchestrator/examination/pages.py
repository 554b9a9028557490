"""Texts and probes for people: a page in Markdown, and tables as MLflow shows them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from orchestrator.common.wording import number, plural
from orchestrator.examination.examined import FOLDER, Examined
from orchestrator.search.trial_plan import TrialPlan, describe
from trainables.evaluation.texts import Decoded, Texts, Waypoint

PAGE = "texts.md"
_INTRODUCTION = """\
One run of each variant's best configuration and of each configuration on the frontier, with the weights of
its best epoch. *Greedy* takes the most probable word at each step, *sample* draws each word from the model,
*beam* looks for the most probable sentence. A collapsed latent says the same whatever z is.
"""
_MARKUP = re.compile(r"([\\`*{}\[\]<>|#~]|(?<![^\W_])_|_(?![^\W_]))")  # "_" inside a word is none


@dataclass(frozen=True)
class Page:
    """The texts and figures of one run."""

    plan: TrialPlan
    final: Mapping[str, float]
    examined: Examined


def write_page(folder: Path, sweep: str, pages: Sequence[Page]) -> Path:
    """Writes the texts of all runs that have some as Markdown into the sweep's folder."""
    parts = [f"# Texts of {_plain(sweep)}\n", _INTRODUCTION, *_knowledge(pages)]
    for page in pages:
        parts += _run(page)
    target = folder / PAGE
    target.write_text("\n".join(parts), encoding="utf-8")
    return target


def write_tables(folder: Path, examined: Examined) -> list[Path]:
    """Writes a file for each kind of text beside the findings, as MLflow keeps tables: columns and data."""
    place = folder / FOLDER / examined.trial_id
    paths: list[Path] = []
    for name, rows in _tables(examined.texts) if examined.texts else ():
        place.mkdir(parents=True, exist_ok=True)
        content = {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}
        paths.append(place / f"{name}.json")
        paths[-1].write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return paths


def _tables(texts: Texts) -> Iterator[tuple[str, list[dict[str, str | float]]]]:
    samples = [_label(row.label) | vars(row.decoded) for row in texts.samples]
    reconstructions = [
        _label(row.label) | {"sentence": row.sentence} | vars(row.decoded) for row in texts.reconstructions
    ]
    interpolations = [
        {"first": row.first, "second": row.second, "share": row.share} | vars(row.decoded)
        for row in texts.interpolations
    ]
    named = {"samples": samples, "reconstructions": reconstructions, "interpolations": interpolations}
    return ((name, rows) for name, rows in named.items() if rows)


def _label(label: str) -> dict[str, str | float]:
    return {"label": label} if label else {}


def _knowledge(pages: Sequence[Page]) -> Iterator[str]:
    """A table of what the latents know of the labels."""
    probed = [(page, page.examined.probe) for page in pages if page.examined.probe is not None]
    if not probed:
        return
    first = probed[0][1]
    yield "## What the latent knows of the labels\n"
    yield "| model | linear classifier | mixture | NMI |\n| --- | ---: | ---: | ---: |"
    for page, probe in probed:
        shares = map(_percent, (probe.accuracy, probe.mixture_accuracy))
        yield f"| {_plain(describe(page.plan))} | {' | '.join(shares)} | {number(probe.nmi)} |"
    yield (
        f"\nShares of {plural(first.test_sentences, 'test sentence')} whose label is found in the posterior"
        " means of the active units: by logistic regression, and by a Gaussian mixture with a component a"
        f" label, both fitted to {plural(first.train_sentences, 'training sentence')}, the mixture without"
        f" the labels. Always saying the most frequent label is right for {_percent(first.majority)}.\n"
    )


def _run(page: Page) -> Iterator[str]:
    texts, final, examined = page.examined.texts, page.final, page.examined
    if texts is None:
        return
    yield f"## {_plain(describe(page.plan))}\n"
    yield (
        f"NLL {number(final['test/nll'])} + KL {number(final['test/kl'])} ="
        f" {number(final['test/nll_plus_kl'])}, IW-NLL {number(final['test/iw_nll'])} nats per sentence"
        f" ({plural(examined.samples, 'sample')} of z, {plural(len(examined.iw_nll_N), 'test sentence')})\n"
    )
    yield "### Samples from the prior\n"
    for place, sample in enumerate(texts.samples, 1):
        yield f"{place}. {_told(sample.label)}{_decodings(sample.decoded)}"
    yield "\n### Reconstructions\n"
    for place, row in enumerate(texts.reconstructions, 1):
        yield f"{place}. {_told(row.label)}{_plain(row.sentence)}\n    - {_decodings(row.decoded)}"
    yield "\n### From one sentence to another\n"
    for (first, second), way in groupby(texts.interpolations, lambda row: (row.first, row.second)):
        yield from _way(first, second, list(way))


def _way(first: str, second: str, way: Sequence[Waypoint]) -> Iterator[str]:
    yield "| z | greedy |\n| ---: | --- |"
    yield f"| *sentence* | {_plain(first)} |"
    for text, points in groupby(way, lambda point: point.decoded.greedy):
        shares = [_percent(point.share) for point in points]
        yield f"| {' – '.join(dict.fromkeys((shares[0], shares[-1])))} | {_plain(text)} |"
    yield f"| *sentence* | {_plain(second)} |\n"


def _decodings(decoded: Decoded) -> str:
    """Each text, led by the decodings that give it; all but the first are items below it."""
    names: dict[str, list[str]] = {}
    for name, text in vars(decoded).items():
        names.setdefault(text, []).append(name)
    return "\n    - ".join(f"*{', '.join(of)}*: {_plain(text) or '(nothing)'}" for text, of in names.items())


def _told(label: str) -> str:
    return f"**{_plain(label)}:** " if label else ""


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _plain(text: str) -> str:
    """The text with what Markdown would take as markup escaped."""
    return _MARKUP.sub(r"\\\1", text)
