"""`python -m orchestrator.train`: as `python -m trainables.train`, for a corpus `datasets:NAME` too.

Trainables know no optional extra, so the command that does stands here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from orchestrator.spec.dataset_source import DatasetSource
from trainables.common.output import run
from trainables.text.corpora import KINDS
from trainables.train import main as train


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains one configuration; returns the exit status, see `trainables.train`."""
    return train(arguments, kinds={**KINDS, "datasets": DatasetSource.parse}, name="orchestrator.train")


if __name__ == "__main__":
    run(lambda: sys.exit(main()))
