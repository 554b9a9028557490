"""`gpus: auto`: by hand from what might be measured, and on a real Ray that only says that it has a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from orchestrator.cluster.capacity import Node
from orchestrator.cluster.gpu_share import NONE_CAME, Kinds, chosen, share_of
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sections import Resources
from tests.sweep_process import run_program
from trainables.training.gpu_use import GpuUse

GIB = 2**30
ASKED = Resources(cpus=1)
SMALL, LARGE = Node(8, 1, ("T4",)), Node(8, 1, ("A100",))


def use(needed: float, busy: float | None = 0.125, total: float = 16) -> GpuUse:
    """GiB."""
    return GpuUse(int(total * GIB), int(needed * GIB), busy)


@pytest.mark.parametrize(
    ("measured", "trials"),
    [
        (use(1.0, 0.125), 8),  # 12.8 by memory, 8 keep it busy
        (use(1.0, 0.01), 8),
        (use(1.0, 0.3), 4),
        (use(1.0, 0.5), 2),
        (use(1.0, 0.51), 2),
        (use(1.0, 1.0), 1),
        (use(4.0, 0.125), 3),  # 0.8 × 16 / 4 = 3.2
        (use(4.4, 0.125), 2),
        (use(13.0, 0.125), 1),  # more than 0.8 of it, and yet it has run
        (use(1.0, None), 4),
        (use(6.0, None), 2),
    ],
)
def test_what_shares_a_gpu(measured: GpuUse, trials: int) -> None:
    assert measured.packed() == trials


@pytest.mark.parametrize("trials", range(1, 17))
def test_so_many_shares_fit_as_ray_counts(trials: int) -> None:
    share = share_of(trials)
    assert round(share * 10_000) * trials <= 10_000 < (round(share * 10_000) + 1) * trials
    assert Node(16, 1).fits(Resources(cpus=1, gpus=share)) == trials


@pytest.mark.parametrize(
    ("nodes", "uses", "reserved", "said"),
    [
        (
            [SMALL],
            {("T4",): use(1.5, 0.3)},
            Resources(cpus=1, gpus=0.25),
            "4 trials share a GPU: the largest takes 1.5 of 16.0 GiB and 30% of its time",
        ),
        (  # two CPUs a GPU hold no third trial
            [Node(4, 2, ("T4",))],
            {("T4",): use(1.5)},
            Resources(cpus=1, gpus=0.5),
            "2 trials share a GPU: the largest takes 1.5 of 16.0 GiB and 12% of its time",
        ),
        (  # on both kinds as many as the smaller holds
            [SMALL, LARGE],
            {("T4",): use(6.0), ("A100",): use(6.0, 0.125, total=80)},
            Resources(cpus=1, gpus=0.5),
            "2 trials share a GPU: the largest takes 6.0 of 16.0 GiB and 12% of its time",
        ),
        (  # 30 GB never go onto 16
            [SMALL, LARGE],
            {("T4",): "CUDA out of memory", ("A100",): use(30.0, None, total=80)},
            Resources(cpus=1, gpus=0.5, accelerator="A100"),
            "trials keep to A100 (T4: CUDA out of memory)\n"
            "2 trials share a GPU: the largest takes 30.0 of 80.0 GiB",
        ),
        (
            [SMALL, LARGE, Node(8, 1, ("L4",)), Node(8, 1, ("L4",))],
            {("T4",): NONE_CAME, ("A100",): use(4.0), ("L4",): use(4.0, 0.5)},
            Resources(cpus=1, gpus=0.5, accelerator="L4"),
            "trials keep to L4 (T4: none came; A100: fewer)\n"
            "2 trials share a GPU: the largest takes 4.0 of 16.0 GiB and 50% of its time",
        ),
        (
            [SMALL],
            {("T4",): None},
            Resources(cpus=1, gpus=0.0),
            "there are GPUs, and torch sees none on their nodes: trials run on CPUs",
        ),
        (
            [Node(4, 1)],
            {(): use(15.0, 0.9)},
            Resources(cpus=1, gpus=1.0),
            "a trial gets a GPU: the largest takes 15.0 of 16.0 GiB and 90% of its time",
        ),
    ],
)
def test_what_each_trial_reserves(
    nodes: list[Node], uses: dict[Kinds, GpuUse | str | None], reserved: Resources, said: str
) -> None:
    lines: list[str] = []
    assert chosen(ASKED, nodes, uses, lines.append) == reserved
    assert lines == said.splitlines()


def test_a_model_that_fits_on_no_gpu() -> None:
    with pytest.raises(
        SpecError, match=r"^resources.gpus: the largest model must fit on a GPU, got 'CUDA out"
    ):
        chosen(ASKED, [SMALL], {("T4",): "CUDA out of memory"}, lambda line: None)


_SETTLED = """
from pathlib import Path
import ray
from orchestrator.cluster.gpu_share import settled
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.text.grammar import embedded_corpus
from trainables.variants import load_variant

ray.init("local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
corpus = embedded_corpus(0, (40, 20, 20))
for resources in ("{}", "{gpus: 0.5}", "{accelerator: T4}"):
    Path("spec.yaml").write_text(f"resources: {resources}")
    spec = SweepSpec.load(Path("spec.yaml"))
    try:
        found = settled(spec, [load_variant("vanilla"), load_variant("skip")], corpus, print)
        print(spec.resources.gpus, found.resources.gpus, found == spec)
    except SpecError as error:
        print(error)
"""


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="torch must see no GPU")
def test_on_a_ray_whose_gpu_torch_does_not_see(tmp_path: Path) -> None:
    assert run_program(_SETTLED, tmp_path) == [
        "measuring what the largest models take of a GPU",
        "there are GPUs, and torch sees none on their nodes: trials run on CPUs",
        "None 0.0 False",
        "0.5 0.5 True",
        "resources.gpus must be a number where no node has T4 so far, got auto; 1 node (1 × 2 CPU, 1 GPU)",
    ]
