"""The Ray Tune trainable, driven by hand: no Ray is started here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ray.tune.result import SHOULD_CHECKPOINT

from trainables import saves
from trainables import trainable as trainable_module
from trainables.checkpoints import CHECKPOINT
from trainables.text.splits import Corpus
from trainables.trainable import TextVAETrainable, TrialSettings
from trainables.training.loop import DivergedError

SMALL = {"embedding_size": 7, "hidden_size": 10, "latent_size": 3, "batch_size": 8, "dropout": 0.2}
SETTINGS = TrialSettings(epochs=3, iw_samples=3, iw_sentences=9)
TIMES = ("seconds", "gpu_seconds")


def config(variant: str = "cyclical", seed: int = 3, **knobs: Any) -> dict[str, Any]:
    few = {"inner_limit": 5, "inner_window": 2} if variant == "aggressive" else {}
    knobs = {**SMALL, **few, **knobs}
    return {"variant": variant, "kind": "trial", "knobs": knobs, "seed": seed, "searched": []}


def started(corpus: Corpus, of: dict[str, Any], settings: TrialSettings = SETTINGS) -> TextVAETrainable:
    class WithParameters(TextVAETrainable):  # as tune.with_parameters does it, without an object store
        def setup(self, config: dict[str, Any], *_: Any) -> None:
            super().setup(config, settings=settings, corpus=corpus)

    return WithParameters(of)


def run(trainable: TextVAETrainable) -> list[dict[str, Any]]:
    """Its results up to the last one, without what Tune adds and without times."""
    results: list[dict[str, Any]] = []
    while not results or not results[-1].get("done"):
        result = trainable.train()
        kept = {
            key: result[key] for key in ("epoch", "metrics", "final", "losses_N", "done") if key in result
        }
        kept["metrics"] = without_times(kept["metrics"])
        if "history" in result:
            kept["history"] = [without_times(epoch) for epoch in result["history"]]
        results.append(kept)
    return results


def without_times(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in TIMES}


def assert_same(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    assert [{**result, "losses_N": None} for result in first] == [
        {**result, "losses_N": None} for result in second
    ]
    np.testing.assert_array_equal(first[-1]["losses_N"], second[-1]["losses_N"])


def test_an_epoch_a_step_and_the_final_figures_last(varied: Corpus) -> None:
    results = run(started(varied, config()))
    assert [result["epoch"] for result in results] == [1, 2, 3]
    assert [result.get("done", False) for result in results] == [False, False, True]
    assert ["final" in result for result in results] == [False, False, True]
    final, metrics = results[-1]["final"], [result["metrics"] for result in results]
    assert final["best/nll_plus_kl"] == pytest.approx(min(epoch["nll_plus_kl"] for epoch in metrics))
    assert {"best/nll", "best/kl", "test/nll", "test/kl", "test/iw_nll", "test/active_units"} <= set(final)
    assert len(results[-1]["losses_N"]) == len(varied.test)
    assert results[-1]["losses_N"].mean() == pytest.approx(final["test/nll_plus_kl"], rel=1e-5)


def test_the_last_result_has_the_history(varied: Corpus) -> None:
    results = run(started(varied, config()))
    assert ["history" in result for result in results] == [False, False, True]
    history = results[-1]["history"]
    assert [{**epoch} for epoch in history] == [
        {**result["metrics"], "epoch": result["epoch"]} for result in results
    ]
    assert {type(value) for epoch in history for value in epoch.values()} == {float}
    tokens = [epoch["tokens"] for epoch in history]
    assert tokens == [tokens[0], 2 * tokens[0], 3 * tokens[0]]


def test_gpu_seconds_are_seconds_times_the_share_of_a_gpu(varied: Corpus) -> None:
    for gpus in (0.0, 0.25):
        trainable = started(varied, config(), TrialSettings(epochs=2, gpus=gpus, iw_samples=1))
        first, last = trainable.train(), trainable.train()
        for epoch in (first["metrics"], last["metrics"], *last["history"]):
            assert epoch["gpu_seconds"] == gpus * epoch["seconds"]
        assert last["history"][1]["seconds"] > last["history"][0]["seconds"] > 0


@pytest.mark.parametrize("before", ["dilated", "aggressive", "cyclical"])
def test_an_actor_used_before_gives_the_same_bits(varied: Corpus, before: str) -> None:
    fresh = run(started(varied, config()))
    used = started(varied, config(before, seed=9))
    used.train()
    assert used.reset(config())
    assert_same(run(used), fresh)


@pytest.mark.parametrize("variant", ["cyclical", "aggressive", "language_model", "pretrained", "vq"])
@pytest.mark.parametrize("done", [1, 2])
def test_a_checkpoint_continues_bit_for_bit(varied: Corpus, tmp_path: Path, variant: str, done: int) -> None:
    knobs = {"pretraining_epochs": 2 if variant == "pretrained" else 0}
    whole = run(started(varied, config(variant, **knobs)))
    first = started(varied, config(variant, **knobs))
    for _ in range(done):
        first.train()
    first.save(str(tmp_path))
    assert (tmp_path / CHECKPOINT).is_file()
    assert not list(tmp_path.glob("*.partial"))
    first.train()  # what comes after the checkpoint leaves no trace in it
    other = started(varied, config("vanilla", seed=77))  # on an actor that did something else
    other.train()
    other.reset(config(variant, **knobs))
    other.restore(str(tmp_path))
    assert_same(run(other), whole[done:])


@pytest.mark.parametrize("variant", ["cyclical", "vq"])
def test_a_training_that_had_ended_reports_once_more(varied: Corpus, tmp_path: Path, variant: str) -> None:
    first = started(varied, config(variant))
    whole = run(first)
    first.save(str(tmp_path))
    other = started(varied, config("vanilla", seed=77))
    other.reset(config(variant))
    other.restore(str(tmp_path))
    assert_same(run(other), whole[-1:])


@pytest.mark.parametrize("knobs", [{"learning_rate": 1e30}, {"learning_rate": 1e30, "optimizer": "sgd"}])
def test_a_diverging_configuration_ends_as_a_result(varied: Corpus, knobs: dict[str, Any]) -> None:
    trainable = started(varied, config("vanilla", **knobs))
    results = [trainable.train()]
    while not results[-1]["done"]:
        results.append(trainable.train())
    last = results[-1]
    assert last["failure"] == "diverged"
    assert last["reason"].startswith(f"loss not finite or beyond hope in epoch {last['epoch']}: ")
    assert (last["metrics"], last["epoch"]) == ({}, len(results))
    assert [epoch["epoch"] for epoch in last["history"]] == list(range(1, len(results)))
    assert "final" not in last
    assert trainable.reset(config())  # and the actor is good for another
    assert_same(run(trainable), run(started(varied, config())))


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (DivergedError("loss not finite"), "diverged"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory"),
        (MemoryError("no memory"), "out_of_memory"),
    ],
)
def test_failures_of_the_configuration(
    varied: Corpus, monkeypatch: pytest.MonkeyPatch, error: Exception, failure: str
) -> None:
    trainable = started(varied, config())

    def fails() -> None:
        raise error

    monkeypatch.setattr(trainable.training, "run_epoch", fails)
    result = trainable.train()
    assert (result["failure"], result["reason"], result["done"]) == (failure, str(error), True)


def test_out_of_memory_on_a_shared_gpu_is_not_the_configurations_fault(
    varied: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    for gpus, failure in ((0.0, "out_of_memory"), (0.5, None), (1.0, "out_of_memory")):
        trainable = started(varied, config(), TrialSettings(epochs=2, gpus=gpus))
        monkeypatch.setattr(trainable.training, "run_epoch", fails)
        if failure is None:
            with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
                trainable.train()
        else:
            assert trainable.train()["failure"] == failure


def test_other_errors_are_raised(varied: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    trainable = started(varied, config())
    monkeypatch.setattr(trainable_module.Training, "run_epoch", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainable.train()


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_of_a_trial(varied: Corpus, threads: int) -> None:
    torch.set_num_threads(3 - threads)
    started(varied, config(), TrialSettings(epochs=1, threads=threads))
    assert torch.get_num_threads() == threads


def test_one_thread_unless_told_otherwise() -> None:
    assert TrialSettings(epochs=1).threads == 1


def test_under_a_spot_notice_every_epoch_is_saved(
    varied: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    notice = tmp_path / "notice"
    monkeypatch.setattr(trainable_module, "SPOT_NOTICE", notice)
    trainable = started(varied, config(), TrialSettings(epochs=4, iw_samples=3, iw_sentences=9))
    asked = [SHOULD_CHECKPOINT in trainable.train()]
    notice.touch()
    asked += [trainable.train().get(SHOULD_CHECKPOINT) for _ in range(2)]
    assert asked == [False, True, True]


def test_it_asks_to_be_saved_so_many_epochs_after_the_last_save(
    varied: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(saves, "LEAST_S", 0.0)
    settings = TrialSettings(epochs=9, iw_samples=3, iw_sentences=9, epochs_a_save=3)
    trainable, asked = started(varied, config(), settings), []
    for _ in range(5):
        asked.append(SHOULD_CHECKPOINT in trainable.train())
        if asked[-1]:
            trainable.save(str(tmp_path))
    assert asked == [False, False, True, False, False]
    trainable.restore(str(tmp_path))  # it stands at epoch 3, where it was saved
    assert [SHOULD_CHECKPOINT in trainable.train() for _ in range(3)] == [False, False, True]
    trainable.reset(config())
    assert [SHOULD_CHECKPOINT in trainable.train() for _ in range(3)] == [False, False, True]


def test_a_searched_trial_that_has_collapsed_is_stopped(varied: Corpus) -> None:
    settings = TrialSettings(epochs=9, iw_samples=3, iw_sentences=9, collapse_patience=2)
    of = config("beta", beta=1000.0, learning_rate=0.02) | {"searched": ["beta"]}
    last = run(started(varied, of, settings))[-1]
    assert last["epoch"] < 9
    assert "final" not in last
    assert [epoch["active_units"] for epoch in last["history"]][-2:] == [0, 0]
    whole = run(started(varied, {**of, "searched": []}, settings))  # repeats of a variant without knobs
    assert (whole[-1]["epoch"], "final" in whole[-1]) == (9, True)
    again = run(started(varied, {**of, "kind": "replicate"}, settings))
    assert (again[-1]["epoch"], "final" in again[-1]) == (9, True)
