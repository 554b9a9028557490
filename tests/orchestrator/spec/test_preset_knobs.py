"""A preset in a spec: under what the user says, for variants and baselines, and written out."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.spec.errors import SpecError
from orchestrator.spec.sweep_spec import SweepSpec
from trainables.training.presets import EMBEDDED, REFERENCE


def spec(**data: Any) -> SweepSpec:
    return SweepSpec.model_validate({"preset": "reference", "variants": ["annealed", "aggressive"], **data})


def below(found: SweepSpec, variant: str) -> dict[str, Any]:
    return found.search_spaces()[variant].knobs


def test_the_presets_knobs_are_fixed_for_variants_and_baselines() -> None:
    found = spec()
    assert found.knobs == dict(REFERENCE.knobs)
    for variant, alone in REFERENCE.by_variant.items():
        assert below(found, variant) == {**REFERENCE.knobs, **alone}
        assert found.search_spaces()[variant].distributions == {}
    (baseline,) = found.baselines()
    assert baseline.knobs == {"decoder": "lstm"} | {
        knob: value for knob, value in REFERENCE.knobs.items() if knob != "posterior_bias"
    }


@pytest.mark.parametrize("place", ["top", "below"])
def test_the_users_knobs_and_ranges_go_before(place: str) -> None:
    said = {"knobs": {"kl_start": 0.5}, "ranges": {"inner_limit": [5, 50]}}
    found = spec(**said) if place == "top" else spec(variants={"aggressive": said, "annealed": {}})
    assert below(found, "aggressive")["kl_start"] == 0.5
    assert "inner_limit" not in below(found, "aggressive")
    assert list(found.search_spaces()["aggressive"].distributions) == ["inner_limit"]
    assert below(found, "annealed")["kl_start"] == (0.5 if place == "top" else 0.1)


def test_the_users_sizes_reach_the_baselines() -> None:
    found = spec(knobs={"hidden_size": 8}, ranges={"clip_norm": [1.0, 5.0]})
    (baseline,) = found.baselines()
    assert (baseline.knobs["hidden_size"], baseline.knobs["embedding_size"]) == (8, 512)
    assert list(baseline.distributions) == ["clip_norm"]
    assert below(found, "annealed")["hidden_size"] == 8
    assert "clip_norm" not in below(found, "annealed")


def test_another_part_takes_no_knobs_of_the_presets_part() -> None:
    found = spec(variants={"aggressive": {"knobs": {"schedule": "constant"}}}, knobs={"optimizer": "adam"})
    knobs = below(found, "aggressive")
    assert knobs["optimizer"] == "adam"
    assert not knobs.keys() & {"learning_rate", "anneal_rate", "kl_start"}
    assert knobs["inner_limit"] == 99


def test_what_no_chosen_variant_has_is_left_out() -> None:
    assert "posterior_bias" not in spec(variants=["vq"]).knobs
    assert "posterior_bias" in spec(variants=["vq", "vanilla"]).knobs


def test_remedies_are_searched_as_ever() -> None:
    found = spec(variants=["dilated"]).search_spaces()["dilated"]
    assert set(found.distributions) == set(
        SweepSpec(variants={"dilated": {}}).search_spaces()["dilated"].distributions
    )


@pytest.mark.parametrize("own", [{}, {"knobs": {"kl_start": 0.5}}, {"ranges": {"inner_limit": [5, 50]}}])
def test_the_resolved_spec_holds_the_knobs_and_loads_back(own: dict[str, Any], tmp_path: Path) -> None:
    found = spec(**own, name="x", epochs=20)
    path = tmp_path / "sweep.yaml"
    path.write_text(found.to_yaml())
    assert "preset: reference\n" in found.to_yaml()
    assert "embedding_size: 512\n" in found.to_yaml()
    assert SweepSpec.load(path) == found


def test_the_option_goes_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("variants: [vanilla]\nknobs: {batch_size: 4}\n")
    assert SweepSpec.load(path).knobs == {**EMBEDDED.knobs, "batch_size": 4}
    found = SweepSpec.load(path, {"preset": "reference", "set": ["dropout=0.1"]})
    assert (found.knobs["batch_size"], found.knobs["dropout"], found.knobs["clip_norm"]) == (4, 0.1, 5.0)


def test_mistakes_are_said_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("epochs: 3\npreset: referense\n")
    with pytest.raises(SpecError, match=r"spec.yaml:2: no preset 'referense'; did you mean 'reference'"):
        SweepSpec.load(path)
    path.write_text("preset: reference\nvariants:\n  aggresive: {}\n")
    with pytest.raises(SpecError, match=r"spec.yaml:3: no variant 'aggresive'"):
        SweepSpec.load(path)
    path.write_text("preset: reference\nvariants: [annealed]\nknobs: {schedule: linear}\n")
    with pytest.raises(SpecError, match=r"spec.yaml:3: schedule must be one of"):
        SweepSpec.load(path)
