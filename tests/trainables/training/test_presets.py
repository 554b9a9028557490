"""What the reference preset sets, and what goes before it."""

import json
from pathlib import Path

import pytest
import torch

from trainables.model.text_vae import TextVAE
from trainables.train import main
from trainables.training.presets import (
    EMBEDDED,
    PRESETS,
    REFERENCE,
    Preset,
    UnknownPresetError,
    load_preset,
    usual_preset,
)
from trainables.variants import load_variant, variant_names

TINY = ["embedding_size=4", "hidden_size=4", "latent_size=2"]
QUICK = [
    "--max-sentences",
    "40",
    "--epochs",
    "1",
    "--iw-samples",
    "1",
    "--iw-sentences",
    "2",
    "--threads",
    "1",
]


def test_the_published_settings_in_full() -> None:
    """Also what the chosen parts have by default: the preset does not repeat it."""
    variant = load_variant("aggressive")
    knobs = variant.with_knobs(REFERENCE.knobs_for(variant)).knobs()
    expected = {
        **{"embedding_size": 512, "hidden_size": 1024, "latent_size": 32, "dropout": 0.5},
        **{"encoder": "lstm", "decoder": "lstm", "latent": "gaussian", "posterior_bias": False},
        **{"initialization": "uniform", "init_range": 0.01, "embedding_range": 0.1},
        **{"optimizer": "sgd", "learning_rate": 1.0, "clip_norm": 5.0},
        **{"decay_factor": 0.5, "decay_patience": 2, "decay_from": 15, "max_decays": 5},
        **{"batch_size": 32, "batch_weighting": "equal", "fixed_batches": True, "word_keep_rate": 1.0},
        **{"schedule": "annealed", "anneal_shape": "linear", "anneal_rate": 0.09, "anneal_delay": 0.0},
        **{"kl_start": 0.1, "published_steps": True, "free_bits": 0.0, "kl_target": 0.0},
        **{"updates": "aggressive", "aggressive_epochs": 100, "inner_limit": 99, "inner_window": 15},
        **{"mi_margin": 0.0, "published_mi": True, "pretraining_epochs": 0, "condition": "none"},
    }
    assert {knob: knobs[knob] for knob in expected} == expected


@pytest.mark.parametrize("name", variant_names())
@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_every_variant_takes_what_it_has_of_a_preset(preset: Preset, name: str) -> None:
    variant = load_variant(name)
    knobs = preset.knobs_for(variant)
    assert knobs.items() <= variant.with_knobs(knobs).knobs().items()
    assert {"optimizer", "dropout", "batch_size"} <= knobs.keys()
    assert ("posterior_bias" in knobs) == ("posterior_bias" in variant.knobs())


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_what_a_preset_has_for_one_variant_alone_is_that_variants_own(preset: Preset) -> None:
    for name, alone in preset.by_variant.items():
        variant = load_variant(name)
        assert alone.keys() <= variant.knobs().keys() - variant.shared_knobs()
        assert not alone.keys() & preset.knobs.keys()


def test_ones_own_knobs_go_before() -> None:
    variant = load_variant("aggressive").with_knobs({"optimizer": "adam", "schedule": "constant"})
    knobs = REFERENCE.knobs_for(variant, {"optimizer", "schedule", "batch_size"})
    assert not knobs.keys() & {"optimizer", "batch_size", "anneal_rate", "kl_start"}
    assert knobs["initialization"] == "uniform"
    assert variant.with_knobs(knobs).knobs()["learning_rate"] == 0.002


def test_initial_weights_are_the_published_ones() -> None:
    """All parameters, biases too, in U(±0.01), embeddings in U(±0.1)."""
    variant = load_variant("vanilla")
    variant = variant.with_knobs(REFERENCE.knobs_for(variant) | {"hidden_size": 64, "embedding_size": 64})
    torch.manual_seed(0)
    parameters = dict(TextVAE(variant, 100).named_parameters())
    assert len(parameters) == 13
    for name, parameter in parameters.items():
        bound = 0.1 if "embedding" in name else 0.01
        assert 0.9 * bound < float(parameter.detach().abs().max()) <= bound, name
        error = 4 * bound / (3 * parameter.numel()) ** 0.5
        assert float(parameter.detach().mean()) == pytest.approx(0, abs=error), name


def test_the_embedded_corpus_has_a_usual_one_and_others_have_none() -> None:
    assert usual_preset("embedded") is EMBEDDED
    assert usual_preset("ptb:data") is None
    variant = load_variant("vanilla")
    assert variant.with_knobs(EMBEDDED.knobs_for(variant)).decoder_label == "dilated-S"


def test_a_slot_that_a_variant_leaves_empty_stays_empty() -> None:
    found = {}
    for name in ("vanilla", "language_model"):
        variant = load_variant(name)
        variant = variant.with_knobs(EMBEDDED.knobs_for(variant))
        variant.check()
        found[name] = (variant.encoder.part_name, variant.decoder.part_name)
    assert found == {"vanilla": ("pooled", "dilated"), "language_model": ("none", "dilated")}


def test_the_command_takes_the_corpus_s_usual_one_unless_a_preset_is_asked_for(tmp_path: Path) -> None:
    asked = {"usual": [], "own": ["--set", "decoder=lstm"], "asked": ["--preset", "reference"]}
    found = {}
    for name, more in asked.items():
        target = tmp_path / f"{name}.json"
        settings = [word for knob in TINY for word in ("--set", knob)]
        assert main(["--variant", "vanilla", *more, *settings, *QUICK, "--json", str(target)]) == 0
        knobs = json.loads(target.read_text())["knobs"]
        found[name] = [knobs[knob] for knob in ("decoder", "batch_size", "dropout", "optimizer")]
    assert found == {
        "usual": ["dilated", 64, 0.2, "adam"],
        "own": ["lstm", 64, 0.2, "adam"],
        "asked": ["lstm", 32, 0.5, "sgd"],
    }


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(UnknownPresetError, match="no preset 'referense'; did you mean 'reference'"):
        load_preset("referense")


def test_the_command_takes_a_preset_under_its_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [word for knob in [*TINY, "clip_norm=2"] for word in ("--set", knob)]
    target = tmp_path / "figures.json"
    assert (
        main(["--preset", "reference", "--variant", "annealed", *settings, *QUICK, "--json", str(target)])
        == 0
    )
    knobs = json.loads(target.read_text())["knobs"]
    assert (knobs["clip_norm"], knobs["hidden_size"]) == (2.0, 4)
    assert (knobs["optimizer"], knobs["dropout"], knobs["kl_start"]) == ("sgd", 0.5, 0.1)
    assert main(["--preset", "none"]) == 2
    assert "no preset 'none'; known: reference" in capsys.readouterr().err
