"""The project's `cluster.yaml` with the blanks filled in: the same file, comments and all."""

from __future__ import annotations

import re

from orchestrator.aws.account import Identifiers
from orchestrator.aws.answers import GPU, NAME, WORKERS, Answers
from orchestrator.spec.errors import SpecError


def filled(text: str, answers: Answers, found: Identifiers) -> str:
    """The text of `cluster.yaml` for this cluster.

    Raises:
        SpecError: the text is not that of the file as it is shipped.
    """
    for blank, value in (
        ("region", answers.region),
        ("image", found.image),
        ("security group", found.security_group),
        ("head profile", found.head_profile),
        ("worker profile", found.worker_profile),
    ):
        text = _replaced(text, rf'"<FILL-IN: {blank},[^>"]*>"', f'"{value}"')
    system = f"{found.file_system}.efs.{answers.region}.amazonaws.com"
    text = _replaced(text, r"<FILL-IN: file system,[^>]*>", system)
    text = _replaced(text, rf"cluster_name: {NAME}", f"cluster_name: {answers.name}")
    text = _replaced(text, rf"InstanceType: {re.escape(GPU)}  # [^\n]*", f"InstanceType: {answers.gpu}")
    text = _replaced(text, r"InstanceType: \S+  # the fallback", f"InstanceType: {found.fallback}")
    text = _replaced(text, rf"(?<=\n)(\s*)max_workers: {WORKERS}", rf"\1max_workers: {answers.workers}", 3)
    if answers.price is not None:
        limit = f"\\1\n        SpotOptions: {{MaxPrice: '{answers.price:g}'}}"
        text = _replaced(text, r"(MarketType: spot[^\n]*)", limit)
    _, kept, rest = text.partition("# What must outlive the head")
    return (
        f"# The cluster {answers.name} in {answers.region}, as `orchestrator.cluster init` wrote it.\n"
        "# `ray get-auth-token --generate` once, then `ray up` this file from the repository root.\n"
        f"#\n{kept}{rest}"
    )


def _replaced(text: str, pattern: str, by: str, times: int = 1) -> str:
    text, count = re.subn(pattern, by, text)
    if count != times:
        raise SpecError(
            f"cluster.yaml must be the file as it is shipped, got {count} of {pattern!r} for {times}"
        )
    return text
