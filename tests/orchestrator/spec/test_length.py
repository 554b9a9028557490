"""How long trainings are, as a spec says it."""

from __future__ import annotations

import pytest

from orchestrator.spec.length import Length

AUTO = Length(planned=20, most=100)


@pytest.mark.parametrize(
    ("value", "length", "written"),
    [
        ("auto", AUTO, "auto"),
        (30, Length(planned=30, most=30), 30),
        ("30", Length(planned=30, most=30), 30),
        ({"planned": 10, "most": 40}, Length(planned=10, most=40), {"planned": 10, "most": 40}),
        ({"planned": 10}, Length(planned=10, most=100), {"planned": 10, "most": 100}),
        ({"planned": 300}, Length(planned=300, most=300), 300),
        ({"most": 8}, Length(planned=8, most=8), 8),
    ],
)
def test_what_is_said_and_how_it_is_written_again(value: object, length: Length, written: object) -> None:
    assert Length.parse(value) == length
    assert length.model_dump() == written
    assert Length.parse(written) == length


def test_in_words_and_as_a_limit() -> None:
    assert [str(Length.parse(value)) for value in (1, 12, "auto")] == [
        "1 epoch",
        "12 epochs",
        "20 to 100 epochs",
    ]
    assert [Length.parse(value).limit for value in (12, "auto")] == [None, 100]


@pytest.mark.parametrize(
    "value", [0, -3, 1.5, True, "ten", "", [], {}, {"planned": 9, "most": 3}, {"plan": 3}, {"most": 0}]
)
def test_what_is_no_length(value: object) -> None:
    with pytest.raises(
        ValueError, match=r"^epochs must be auto, a number .* with 1 <= planned <= most, got "
    ):
        Length.parse(value)
