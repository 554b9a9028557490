import itertools
from dataclasses import FrozenInstanceError, dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.common.hints import hint
from trainables.model.variant import Variant
from trainables.parts.decoders import DilatedDecoder, LSTMDecoder
from trainables.parts.part import NOT_A_KNOB, KnobError, Part, parse_knob
from trainables.parts.schedules import Annealed, Constant, Cyclical
from trainables.parts.updates import Aggressive
from trainables.variants import load_variant, variant_names


class Shape(Part):
    pass


@dataclass(frozen=True, kw_only=True)
class Circle(Shape, name="circle"):
    radius: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Box(Shape, name="box"):
    width: int = 2
    filled: bool = False


@dataclass(frozen=True, kw_only=True)
class Frame(Part):
    border: int = 3
    title: str = field(default="none", metadata=NOT_A_KNOB)


@dataclass(frozen=True, kw_only=True)
class Drawing(Part):
    scale: float = 1.0
    shape: Shape = field(default_factory=Circle)
    frame: Frame = field(default_factory=Frame)


def combinations() -> list[Variant]:
    """A variant with every choice for every slot; the variants' own parts are among the choices."""
    variant = load_variant("vanilla")
    slots = variant.slots()
    for name in variant_names():
        assert load_variant(name).slots().keys() == slots.keys()
    choices = itertools.product(*slots.values())
    return [variant.with_knobs(dict(zip(slots, choice, strict=True))) for choice in choices]


def test_knobs_are_named_by_their_field_alone_and_keep_the_order_of_the_fields() -> None:
    assert list(Drawing().knobs().items()) == [
        ("scale", 1.0),
        ("shape", "circle"),
        ("radius", 1.0),
        ("border", 3),
    ]


def test_families_do_not_mix() -> None:
    assert set(Shape.alternatives) == {"circle", "box"}
    assert set(Constant.alternatives) == {"constant", "balanced", "annealed", "cyclical"}
    assert set(LSTMDecoder.alternatives) == {"lstm", "dilated"}


def test_nested_knobs_are_set_in_a_copy() -> None:
    drawing = Drawing()
    other = drawing.with_knobs({"radius": 2.5, "border": 7, "scale": 2})
    assert other == Drawing(scale=2.0, shape=Circle(radius=2.5), frame=Frame(border=7))
    assert type(other.scale) is float
    assert drawing == Drawing()
    with pytest.raises(FrozenInstanceError):
        drawing.scale = 3.0


def test_a_slot_is_filled_before_its_knobs_are_set() -> None:
    expected = Drawing(shape=Box(width=5, filled=True))
    assert Drawing().with_knobs({"width": 5, "filled": True, "shape": "box"}) == expected
    assert Drawing().with_knobs({"shape": "box", "filled": True, "width": 5}) == expected


def test_a_part_in_anothers_place_takes_over_what_that_has_set() -> None:
    skip = load_variant("skip")
    assert skip.knobs()["skip_connections"]
    assert skip.with_knobs({"decoder": "dilated"}).knobs()["skip_connections"]
    assert not skip.with_knobs({"decoder": "dilated", "skip_connections": False}).knobs()["skip_connections"]
    dropped = load_variant("vanilla").with_knobs({"dropout": 0.3}).with_knobs({"decoder": "dilated"})
    assert (dropped.knobs()["dropout"], dropped.knobs()["dilation"]) == (0.3, "S")


def test_the_decoder_is_a_slot_of_a_variant() -> None:
    variant = load_variant("annealed").with_knobs({"dilation": "M", "decoder": "dilated"})
    assert variant.decoder == DilatedDecoder(dilation="M")
    assert variant.rate == load_variant("annealed").rate
    nested = load_variant("vanilla").with_knobs(
        {"schedule": "cyclical", "cycles": 7, "updates": "aggressive"}
    )
    assert nested.rate.schedule == Cyclical(cycles=7)
    assert nested.updates == Aggressive()


def test_a_slot_that_keeps_its_part_keeps_its_knobs() -> None:
    drawing = Drawing(shape=Box(width=9))
    assert drawing.with_knobs({"shape": "box", "filled": True}) == Drawing(shape=Box(width=9, filled=True))


def test_knobs_of_the_part_that_left_are_unknown() -> None:
    with pytest.raises(KnobError, match="no knob 'radius'"):
        Drawing().with_knobs({"shape": "box", "radius": 1.0})


@pytest.mark.parametrize(
    ("knob", "value", "message"),
    [
        ("word_keep_rat", 0.5, "no knob 'word_keep_rat'; did you mean 'word_keep_rate'?"),
        ("cycels", 2, "no knob 'cycels'; did you mean 'cycles'?"),
        ("zzz", 2, "no knob 'zzz'; known: encoder, .*, cycles, .*, batch_size, "),
        ("name", "mine", "no knob 'name'"),
        ("rate", "rate", "no knob 'rate'"),
        ("decoder", "lstmm", "decoder must be one of lstm, dilated, got 'lstmm'"),
        ("cycles", 2.0, r"cycles must be of type int, got 2\.0"),
        ("cycles", True, "cycles must be of type int, got True"),
        ("cycles", "2", "cycles must be of type int, got '2'"),
        ("ramp_share", True, "ramp_share must be of type float, got True"),
        ("ramp_share", "0.5", "ramp_share must be of type float, got '0.5'"),
        ("ramp_share", None, "ramp_share must be of type float, got None"),
        ("posterior_bias", 1, "posterior_bias must be of type bool, got 1"),
        ("learning_rate", float("inf"), "learning_rate must be finite, got inf"),
        ("learning_rate", float("nan"), "learning_rate must be finite, got nan"),
        ("learning_rate", 0, r"learning_rate must be > 0, got 0\.0"),
        ("cycles", 0, "cycles must be >= 1, got 0"),
        ("ramp_share", 1.5, r"ramp_share must be in \(0, 1\], got 1\.5"),
        ("word_keep_rate", -0.1, r"word_keep_rate must be in \[0, 1\], got -0\.1"),
        ("batch_size", 0, "batch_size must be >= 1, got 0"),
        ("latent_size", 0, "latent_size must be >= 1, got 0"),
        ("clip_norm", 0.0, "clip_norm must be > 0, got 0.0"),
        ("dropout", 1.0, r"dropout must be in \[0, 1\), got 1\.0"),
    ],
)
def test_errors_state_the_rule_and_the_value(knob: str, value: Any, message: str) -> None:
    with pytest.raises(KnobError, match=message):
        load_variant("cyclical").with_knobs({knob: value})


@pytest.mark.parametrize("choice", [1, None, ["lstm"], {"lstm": 1}])
def test_a_slot_takes_names_only(choice: Any) -> None:
    with pytest.raises(KnobError, match="decoder must be one of lstm, dilated, got"):
        load_variant("vanilla").with_knobs({"decoder": choice})


def test_no_combination_of_parts_has_a_knob_twice() -> None:
    variants = combinations()
    # encoder, latent, decoder, condition, schedule, updates, optimizer, initialization
    assert len(variants) >= 2 * 5 * 2 * 2 * 4 * 2 * 2 * 2
    for variant in variants:
        knobs = variant.knobs()  # asserts that no name stands in two parts
        assert variant.with_knobs(knobs) == variant


def test_a_knob_in_two_parts_is_a_defect() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Twice(Part):
        border: int = 1
        frame: Frame = field(default_factory=Frame)

    with pytest.raises(AssertionError, match="border"):
        Twice().knobs()


@pytest.mark.parametrize("name", variant_names())
def test_round_trip(name: str) -> None:
    variant = load_variant(name)
    assert variant.with_knobs(variant.knobs()) == variant
    assert variant.with_knobs({}) == variant


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "anneal_rate": st.floats(1e-6, 1e6),
            "anneal_delay": st.floats(0, 1e6),
            "kl_start": st.floats(0, 1),
            "anneal_shape": st.sampled_from(["linear", "logistic"]),
            "word_keep_rate": st.floats(0, 1),
            "free_bits": st.floats(0, 100),
            "batch_size": st.integers(1, 1000),
            "latent_size": st.integers(1, 1000),
            "posterior_bias": st.booleans(),
        },
    )
)
def test_what_is_set_is_read_back_and_the_rest_stays(values: dict[str, Any]) -> None:
    variant = load_variant("annealed")
    changed = variant.with_knobs(values)
    assert changed.knobs() == variant.knobs() | values
    assert isinstance(changed.rate.schedule, Annealed)
    assert (changed.name, changed.paper) == (variant.name, variant.paper)


@pytest.mark.parametrize(
    ("knob", "text", "value"),
    [
        ("cycles", "7", 7),
        ("ramp_share", "1", 1.0),
        ("learning_rate", "2e-3", 0.002),
        ("posterior_bias", "False", False),
        ("posterior_bias", "true", True),
        ("decoder", "dilated", "dilated"),
    ],
)
def test_a_knob_is_read_from_text_in_its_own_type(knob: str, text: str, value: Any) -> None:
    parsed = parse_knob(load_variant("cyclical"), knob, text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("knob", "text", "kind"),
    [
        ("cycles", "7.5", "int"),
        ("cycles", "many", "int"),
        ("ramp_share", "half", "float"),
        ("posterior_bias", "0", "bool"),
    ],
)
def test_text_of_another_type_is_refused(knob: str, text: str, kind: str) -> None:
    with pytest.raises(KnobError, match=f"{knob} must be of type {kind}, got '{text}'"):
        parse_knob(load_variant("cyclical"), knob, text)


def test_hint() -> None:
    assert hint("betta", ["gamma", "beta"]) == "did you mean 'beta'?"
    assert hint("xyz", ["gamma", "beta"]) == "known: gamma, beta"
    assert hint("xyz", []) == "known: none"
