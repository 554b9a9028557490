"""Entries as lines, and what is checked of them before they are written."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.tracking.delivery.entries import (
    SWEEP,
    Aliases,
    Artifact,
    Change,
    Entry,
    Input,
    Metrics,
    Note,
    Opening,
    Params,
    SavedModel,
    Tags,
    View,
    from_line,
    param_entries,
    size,
    tag_entries,
    to_line,
)

EACH: list[Entry] = [
    Opening("t0", 5, "cyclical cycles=4", {"variant": "cyclical"}),
    Metrics("t0", 6, 1, {"nll": 0.1 + 0.2, "kl": 5e-324, "best/nll": -1.7976931348623157e308}),
    Params("t0", {"cycles": "4"}),
    Tags("t0", {"note": "two\nlines of ß and \u2028"}),
    Change(SWEEP, 7, "FINISHED"),
    Artifact(SWEEP, "frontier.png"),
    Input(SWEEP, "reviews", "0123456789abcdef", "ptb:/data/a b", "{}"),
    View(SWEEP, "mlflow.sharedViewState.x", "{}"),
    SavedModel("t0", "models/t0", "cyclical-t0", "s", {"variant": "cyclical"}),
    Aliases(SWEEP, "s", {"best-elbo": "t0"}),
    Note(SWEEP, "# Done \ue000t0\ue001"),
]


@pytest.mark.parametrize("entry", EACH, ids=lambda entry: entry.kind)
def test_an_entry_is_a_line_and_comes_back_equal(entry: Entry) -> None:
    line = to_line(entry)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert from_line(line) == entry


@given(st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)), st.integers(0, 10**9))
def test_every_number_comes_back_to_the_last_digit(values: dict[str, float], step: int) -> None:
    entry = Metrics("t0", 6, step, values)
    back = from_line(to_line(entry))
    assert back == entry
    assert isinstance(back, Metrics)
    signs = {name: math.copysign(1, value) for name, value in back.values.items()}
    assert signs == {name: math.copysign(1, value) for name, value in values.items()}


@pytest.mark.parametrize(
    "line", [b"", b"{}", b'{"kind":"metrics"}', b'{"kind":"other","run":""}', b"\xff", b"7"]
)
def test_what_is_no_entry(line: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        from_line(line)


def test_size() -> None:
    assert [size(entry) for entry in EACH[:3]] == [(0, 1), (3, 0), (0, 1)]


def test_params_are_shortened_visibly() -> None:
    kept, said = param_entries("t0", {"corpus": "x" * 6000, "list": "y" * 6001})
    assert isinstance(kept, Params)
    assert kept.values["corpus"] == "x" * 6000
    assert len(kept.values["list"]) == 6000
    assert kept.values["list"].endswith("yy … [shortened, 6001 characters]")
    assert said == Tags("t0", {"orchestrator.shortened": "list"})
    assert param_entries("t0", {}) == tag_entries("t0", {}) == []


def test_a_param_that_mlflow_would_refuse() -> None:
    with pytest.raises(ValueError, match=r"a param's name must consist of .* got 'nll\+kl'"):
        param_entries("t0", {"nll+kl": "1"})


def test_what_has_no_utf_8_is_replaced() -> None:
    (entry,) = tag_entries("t0", {"reason": "no file a\udcff"})
    assert from_line(to_line(entry)) == Tags("t0", {"reason": "no file a?"})
