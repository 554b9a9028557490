from __future__ import annotations

import dataclasses
import json
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from orchestrator.common.environment import Environment
from orchestrator.recorded.reproduction import (
    Agreement,
    agreements,
    arguments_of,
    cautions,
    command_of,
    module_of,
)
from orchestrator.recorded.trial import Points, RecordedTrial
from orchestrator.search.trial_plan import TrialPlan
from orchestrator.spec.sweep_spec import SweepSpec
from search_spaces.space import Extent, load_space
from trainables.train import parser, variant_of
from trainables.variants import load_variant, variant_names

HERE = Environment.here()


def recorded(plan: TrialPlan, points: Points | None = None, **options: Any) -> RecordedTrial:
    spec = SweepSpec.load(None, {"name": "s", "seed": 7, **options})
    return RecordedTrial("s", "t0", plan, spec, "abc", HERE, True, None, points or {})


def vanilla(**knobs: Any) -> TrialPlan:
    return TrialPlan("vanilla", "trial", knobs, 9, ())


# -- the command -------------------------------------------------------------------------------------


def test_the_whole_command(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = TrialPlan(
        "cyclical", "replicate", {"cycles": 3, "ramp_share": 0.1 + 0.2, "word_keep_rate": 1.0}, 11
    )
    monkeypatch.setattr("orchestrator.recorded.reproduction.program", lambda name: name)
    trial = recorded(plan, max_sentences=100, epochs=5, iw_samples=8, iw_sentences=9)
    assert command_of(trial) == (
        "python -m trainables.train --variant cyclical --corpus embedded --vocabulary-size 10000"
        " --max-sentences 100 --corpus-seed 7 --corpus-digest abc --epochs 5 --seed 11"
        " --iw-samples 8 --iw-sentences 9 --threads 1 --device cpu"
        " --set encoder=lstm --set decoder=lstm --set dropout=0.0 --set learning_rate=0.002"
        " --set embedding_size=64 --set latent_size=16 --set batch_size=16"
        " --set cycles=3 --set ramp_share=0.30000000000000004 --set word_keep_rate=1.0"
    )  # fmt: skip


def test_what_a_spec_can_say_otherwise(tmp_path: Path) -> None:
    folder = tmp_path / "my texts"
    trial = recorded(vanilla(), corpus=str(folder), cpus=2.5, gpus=0.5)
    trial = dataclasses.replace(trial, spec=trial.spec.model_copy(update={"vocabulary_size": None}))
    options = parser().parse_args(arguments_of(trial))
    assert options.corpus == str(folder)
    assert (options.vocabulary_size, options.max_sentences) == (None, None)
    assert (options.threads, options.device) == (2, "cuda")
    assert (options.seed, options.corpus_seed) == (9, 7)
    assert f"--corpus '{folder}'" in command_of(trial)
    assert shlex.split(command_of(trial))[3:] == arguments_of(trial)
    unknown = dataclasses.replace(trial, digest=None)
    assert "--corpus-digest" not in arguments_of(unknown)


def test_a_dataset_is_trained_by_the_module_that_can_read_it() -> None:
    trial = recorded(vanilla(), corpus="datasets:owner/name,config=c,text=t")
    assert module_of(trial) == "orchestrator.train"
    assert "datasets:owner/name,config=c,text=t" in arguments_of(trial)
    assert module_of(recorded(vanilla())) == "trainables.train"


def test_slots_go_first() -> None:
    plan = vanilla(dilation="1-2-4", decoder="dilated", skip_connections=True)
    arguments = arguments_of(recorded(plan, corpus="texts"))
    assert arguments[-6:] == [
        "--set", "decoder=dilated", "--set", "dilation=1-2-4", "--set", "skip_connections=true",
    ]  # fmt: skip
    assert variant_of(parser().parse_args(arguments)) == plan.build()


def values_of(distribution: BaseDistribution) -> st.SearchStrategy[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return st.sampled_from(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return st.integers(distribution.low, distribution.high)
    assert isinstance(distribution, FloatDistribution)
    return st.floats(distribution.low, distribution.high)


@pytest.mark.parametrize("name", variant_names())
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_the_command_reads_back_to_the_same_variant(name: str, data: st.DataObject) -> None:
    spaces = load_space(name).distributions(Extent(12, 30))
    knobs = {knob: data.draw(values_of(found), label=knob) for knob, found in spaces.items()}
    known = load_variant(name).knobs()
    fixed = {knob: values for knob, values in FIXED.items() if knob in known}
    knobs |= data.draw(st.fixed_dictionaries({}, optional=fixed))
    plan = TrialPlan(name, "trial", knobs, data.draw(st.integers(0, 2**32 - 1)))
    built = plan.build()
    again = TrialPlan.from_config(json.loads(json.dumps(plan.config())))  # as MLflow keeps it
    options = parser().parse_args(shlex.split(command_of(recorded(again)))[3:])
    assert variant_of(options) == built
    assert variant_of(options).knobs() == built.knobs()
    assert options.seed == plan.seed


FIXED: Mapping[str, st.SearchStrategy[Any]] = {
    "learning_rate": st.floats(1e-12, 10.0),
    "dropout": st.floats(0, 0.99),
    "posterior_bias": st.booleans(),
    "optimizer": st.sampled_from(["adam", "sgd"]),
    "hidden_size": st.integers(1, 4096),
    "anneal_shape": st.sampled_from(["linear", "logistic"]),
    "kl_target": st.one_of(st.floats(0, 100), st.integers(0, 100)),
}


# -- the comparison ----------------------------------------------------------------------------------


def record(*nll: float, **final: float) -> dict[str, Any]:
    return {"history": [{"nll": value, "seconds": 1.5} for value in nll], "final": final}


RECORDED = {
    ("nll", 1): 2.5, ("nll", 2): 1.5, ("seconds", 1): 7.0, ("seconds", 2): 8.0, ("gpu_seconds", 1): 0.0,
    ("test/iw_nll", 2): 30.25, ("test/iw_nll", 3): 29.0, ("probe/accuracy", 3): 0.5,
}  # fmt: skip


def test_the_same_figures_agree_whatever_the_time_and_the_examination() -> None:
    trial = recorded(vanilla(), RECORDED)
    assert agreements(trial, record(2.5, 1.5, **{"test/iw_nll": 30.25})) == [
        Agreement("nll", 1.5, 1.5, None),
        Agreement("test/iw_nll", 30.25, 30.25, None),
    ]


def test_the_last_digit_counts_and_the_first_epoch_that_differs_is_named() -> None:
    trial = recorded(vanilla(), RECORDED)
    other = math.nextafter(2.5, 3)
    found = agreements(trial, record(other, 1.5, **{"test/iw_nll": 29.0}))
    assert found == [Agreement("nll", 2.5, other, 1), Agreement("test/iw_nll", 30.25, 29.0, 2)]


def test_what_one_side_lacks_does_not_agree() -> None:
    trial = recorded(vanilla(), {("nll", 1): 2.5, ("kl", 1): 0.5})
    found = agreements(trial, record(2.5, 1.5))
    assert found == [Agreement("nll", None, 1.5, 2), Agreement("kl", 0.5, None, 1)]


def test_what_is_not_finite_was_not_recorded() -> None:
    trial = recorded(vanilla(), {("nll", 1): 2.5})
    assert agreements(trial, record(2.5, perplexity=math.inf)) == [Agreement("nll", 2.5, 2.5, None)]


def test_of_an_unfinished_trial_only_what_it_has() -> None:
    whole = recorded(vanilla(), {("nll", 1): 2.5})
    cut_off = dataclasses.replace(whole, finished=False)
    assert agreements(cut_off, record(2.5, 1.5, best_epoch=2.0)) == [Agreement("nll", 2.5, 2.5, None)]
    diverged = dataclasses.replace(cut_off, failure="diverged")
    assert agreements(diverged, record(2.5, 1.5)) == [Agreement("nll", None, 1.5, 2)]


# -- what is said before -----------------------------------------------------------------------------


def test_cautions() -> None:
    trial = recorded(vanilla())
    assert cautions(trial, HERE) == []
    torch = HERE.packages["torch"]
    elsewhere = dataclasses.replace(HERE, packages={**HERE.packages, "torch": "1.0"})
    assert cautions(dataclasses.replace(trial, environment=elsewhere), HERE) == [
        f"the digits may differ: torch {torch} here, 1.0 there"
    ]
    bare = dataclasses.replace(trial, environment=None, digest=None, finished=False)
    assert cautions(bare, HERE) == [
        "the trial was not trained to its end",
        "the digest of the corpus is not recorded: it may have changed since",
        "what the sweep ran with is not recorded: the digits may differ",
    ]
    failed = dataclasses.replace(trial, finished=False, failure="out_of_memory")
    assert cautions(failed, HERE) == ["the trial failed: out of memory"]
    on_gpu = recorded(vanilla(), gpus=1.0)
    assert cautions(on_gpu, HERE) == ["the trial ran on a GPU, where the last digits differ from run to run"]
