"""What is checked on the machine before anything is started: resources, name, corpus, storage."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from orchestrator.cluster.ray_address import check_ray_address, ray_folder
from orchestrator.common.addresses import sqlite_file
from orchestrator.running.folder import check_lasting, name_in_use
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.text.corpora import Corpus, CorpusError, load_corpus

MINIMUM_FREE = 200_000_000
MOST_ALONE = 0.5
"""Share of the training sentences that may be batches by themselves under batch normalisation."""
_SQLITE_START = b"SQLite format 3\0"


def check(spec: SweepSpec, *, resume: bool = False) -> Corpus:
    """Check that the sweep can start here; the corpus, which has been read for it.

    Raises:
        SpecError: the machine lacks what a trial asks for, the name is in use, a folder cannot be written.
        CorpusError: the corpus cannot be used.
    """
    check_resources(spec)
    check_lasting(spec)
    check_ray_address()
    ray_folder()
    named = "name" in spec.model_fields_set  # else the folder gets a name that is free
    if not resume and named and (spec.folder.exists() or spec.folder.is_symlink()):
        raise name_in_use(spec)
    corpus = read_corpus(spec)
    check_writable("storage", spec.storage)
    database = sqlite_file(spec.tracking_uri)
    if database is not None:
        check_database(database)
    return corpus


def read_corpus(spec: SweepSpec) -> Corpus:
    """The corpus of a spec.

    Raises:
        CorpusError: it cannot be used, or lacks labels where a variant is told them.
    """
    corpus = load_corpus(
        spec.corpus,
        seed=spec.seed,
        vocabulary_size=spec.vocabulary_size,
        max_sentences=spec.max_sentences,
        deduplicate=spec.deduplicate,
    )
    _check_batches(spec, corpus)
    told = any("condition" in plan.knobs for plan in spec.baselines())
    if told and not corpus.label_names:
        raise CorpusError(
            f"condition=label (conditional) must have label<TAB>sentence in every line of the corpus,"
            f" got none with a label: {corpus.source}"
        )
    absent = [name for name, count in zip(corpus.label_names, corpus.label_counts, strict=True) if not count]
    if told and absent:
        raise CorpusError(
            f"condition=label (conditional) must have every label among the training sentences that"
            f" max_sentences keeps, got none with {absent[0]!r}: {corpus.source}"
        )
    return corpus


def _check_batches(spec: SweepSpec, corpus: Corpus) -> None:
    """A batch of one sentence cannot be normalised; a posterior that never is collapses without a word."""
    from orchestrator.search.plan import SearchPlan
    from trainables.latents.gaussian import BatchNormGaussian
    from trainables.text.batches import alone
    from trainables.variants import load_variant

    for plan in SearchPlan.of(spec, corpus.longest).variants:
        variant = load_variant(plan.variant).with_knobs(plan.knobs)
        if not isinstance(variant.latent, BatchNormGaussian):
            continue
        share = alone(corpus.train, variant.batch_size) / len(corpus.train)
        if share > MOST_ALONE:
            raise CorpusError(
                f"{plan.variant}: batch normalisation must have batches of two sentences and more, got"
                f" {100 * share:.0f} % of the training sentences in batches of one, as so few have the same"
                f" length: {corpus.source}"
            )


def check_resources(spec: SweepSpec) -> None:
    """Check that this machine can hold one trial; with RAY_ADDRESS set the trials run elsewhere.

    Raises:
        SpecError: what a trial asks for, and what there is.
    """
    if os.environ.get("RAY_ADDRESS"):
        return
    import torch

    there_is = {"cpus": os.cpu_count() or 1, "gpus": torch.cuda.device_count()}
    for kind, most in there_is.items():
        asked = getattr(spec.resources, kind)
        if asked is not None and asked > most:
            raise SpecError(
                f"resources.{kind} of a trial must be <= {most}, what this machine has, got {asked:g};"
                " set RAY_ADDRESS to use a cluster"
            )


def check_writable(key: str, folder: Path) -> None:
    """Make the folder where it is missing, write a probe there, and look at the space that is left.

    Raises:
        SpecError: naming the key of the spec, the folder and the reason.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-", buffering=0) as probe:
            probe.write(b"\0" * 4096)
            os.fsync(probe.fileno())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise SpecError(
            f"{key} must be a folder that can be written, got {error.strerror!r}: {folder}"
        ) from error
    if free < MINIMUM_FREE:
        least = MINIMUM_FREE // 10**6
        raise SpecError(f"{key} must have {least} MB free or more, got {free // 10**6} MB: {folder}")


def _start(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        return file.read(len(_SQLITE_START))


def check_database(path: Path) -> None:
    """Check that the SQLite file of the tracking can be written, or made.

    Raises:
        SpecError: naming the file and the reason.
    """
    if path.is_dir():
        raise SpecError(f"tracking_uri must name a file, got a folder: {path}")
    if path.exists() and not os.access(path, os.W_OK):
        raise SpecError(f"tracking_uri must name a file that can be written, got one that cannot: {path}")
    if path.is_file() and _start(path) not in (b"", _SQLITE_START):
        raise SpecError(f"tracking_uri must name an SQLite database, got another file: {path}")
    check_writable("the folder of tracking_uri", path.parent)
