"""A sweep that had come to an end is given more: a higher cap, more trials, another variant."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from orchestrator.running.folder import RESUME, extended, prepare_folder, saved_spec
from orchestrator.spec.errors import SpecError
from orchestrator.spec.sweep_spec import SweepSpec
from tests.sweep_process import HALVING, Sweep, reader, write_corpus
from trainables.training.presets import EMBEDDED


def test_the_spec_with_more(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("variants: {cyclical: {knobs: {cycles: 2}}}\ntrials: 3\nname: s\n")
    storage = {"storage": str(tmp_path)}
    began = prepare_folder(SweepSpec.load(file, storage))
    longer = extended("s", 2, {**storage, "variants": "annealed, cyclical"})
    assert (longer.trials, list(longer.variants)) == (5, ["cyclical", "annealed"])
    assert longer.variants["cyclical"].knobs == {"cycles": 2, **EMBEDDED.by_variant["cyclical"]}
    same = {"trials", "variants"}
    assert longer.model_dump(exclude=same) == began.model_dump(exclude=same)
    assert saved_spec("s", storage, None, RESUME) == longer  # what a plain resume goes on with
    assert extended("s", 0, {**storage, "variants": "vanilla"}).trials == 5


@pytest.mark.parametrize(
    ("trials", "options", "problem"),
    [
        (-1, {}, "--add-trials: must be >= 0, got -1"),
        (0, {}, "--add-trials: must add trials, or with --variants a variant, got neither"),
        (1, {"variants": "anealed"}, "--variants: no variant 'anealed'; did you mean 'annealed'?"),
        (1, {"epochs": "9"}, "--add-trials: the sweep's saved spec holds, so only"),
    ],
)
def test_what_cannot_be_added(tmp_path: Path, trials: int, options: dict[str, str], problem: str) -> None:
    storage = {"storage": str(tmp_path)}
    began = prepare_folder(SweepSpec.load(None, {"name": "s", **storage}))
    with pytest.raises(SpecError) as error:
        extended("s", trials, {**storage, **options})
    assert str(error.value).startswith(problem)
    assert saved_spec("s", storage) == began  # as it was


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sweep_that_met_its_cap_goes_on_with_more(tmp_path: Path) -> None:
    """What paused at a rung then goes on, too."""
    sweep = Sweep(tmp_path)
    write_corpus(tmp_path / "text.txt")
    (tmp_path / "s.yaml").write_text(HALVING)
    first = sweep.run("s.yaml", "--name", "s", "--max-tokens", "6000")
    assert first.returncode == 0, first.stderr
    assert "budget.max_tokens, 6000, is reached" in first.stdout
    assert "failed" not in first.stdout
    early = sweep.trials("s")
    assert Counter(early["kind"]) < Counter(baseline=1, trial=8, replicate=1)
    assert set(early["failure"]) == {""}
    assert reader(sweep).parent().info.status == "FINISHED"
    waiting = {trial_id for trial_id, run in reader(sweep).trials().items() if run.info.status == "KILLED"}
    assert waiting
    assert waiting.isdisjoint(early["trial_id"])
    more = ("--add-trials", "1", "s", "--variants", "annealed", "--max-tokens", "1000000")
    second = sweep.run(*more)
    assert second.returncode == 0, second.stderr
    late = sweep.trials("s")
    assert set(early["trial_id"]) | waiting < set(late["trial_id"])
    # A trial more of each, so nine, and a replicate.
    assert Counter(late["variant"]) == Counter(language_model=1, cyclical=10, annealed=10)
    assert not late.duplicated(["variant", "seed", "knobs"]).any()
    assert set(reader(sweep).trials()) == set(late["trial_id"])
    assert reader(sweep).parent().info.status == "FINISHED"
