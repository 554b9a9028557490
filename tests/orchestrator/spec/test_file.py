"""YAML that a spec may be, YAML that it may not be, and the line that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.spec.errors import SpecError
from orchestrator.spec.file import dump, read_spec_file


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(text: str | bytes) -> dict[str, Any]:
    path = Path("spec.yaml")
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_spec_file(path).data


def refusal(text: str | bytes) -> str:
    with pytest.raises(SpecError) as caught:
        read(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("-2.5e+2", -250.0),
        (".5", 0.5),
        ("2.", 2.0),
        ("1_0.5e+1", 105.0),
        ("10_000", 10_000),
        ("-3", -3),
        ("0", 0),
        ("010", "010"),
        ("0x10", "0x10"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("1-2-4", "1-2-4"),
        ("1e-3x", "1e-3x"),
        ("'1e-3'", "1e-3"),
        ("off", False),
        ("yes", True),
        ("~", None),
        ("", None),
        ("[1, [2]]", [1, [2]]),
        ("&x [1, 2]\nb: *x", [1, 2]),
    ],
)
def test_values(text: str, value: Any) -> None:
    found = read(f"a: {text}")["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "value",
    [1e-7, 1e300, 10**20, "1e-3", "off", "010", "1:30", "2026-01-01", "~", "", " a", "a: b", "ü", [1, "2"]],
)
def test_what_is_written_reads_back(value: Any) -> None:
    assert read(dump({"a": value, "b": {"c": value}})) == {"a": value, "b": {"c": value}}


def test_lines_of_keys_and_items() -> None:
    path = Path("spec.yaml")
    path.write_text("\ufeffa: 1\n\nb:\n  - x\n  - c:\n      2\n  - {d: 3,\n     e: 4}\n", encoding="utf-8")
    assert read_spec_file(path).lines == {
        (): 1, ("a",): 1, ("b",): 3, ("b", 0): 4, ("b", 1): 5, ("b", 1, "c"): 5, ("b", 2): 7,
        ("b", 2, "d"): 7, ("b", 2, "e"): 8,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nseed: 2", "2: a key may stand once, got 'seed' in line 1 already"),
        ("knobs:\n  cycles: 1\n  cycles: 2", "3: a key may stand once, got 'cycles' in line 2 already"),
        (
            "variants: [vanilla",
            "1:19: a spec must be valid YAML, got: expected ',' or ']', but got '<stream end>'"
            " (while parsing a flow sequence)",
        ),
        (
            "knobs:\n\tcycles: 1",
            "2:1: a spec must be valid YAML, got: found character '\\t' that cannot start any token"
            " (while scanning for the next token)",
        ),
        ("- vanilla", "1: a spec must be a mapping of keys to values, got ['vanilla']"),
        ("vanilla", "1: a spec must be a mapping of keys to values, got 'vanilla'"),
        ("1: 2", "1: a key must be text (put it in quotes), got 1"),
        ("seed: 1\non: 2", "2: a key must be text (put it in quotes), got on"),
        ("? [a]\n: b", "1: a key must be text (put it in quotes), got a sequence"),
        ("seed: 1\nname: \x01", "2: a spec must be printable text, got U+0001"),
        (b"seed: 1\nname: \xff", "2: a spec must be UTF-8 text, got the byte 0xff"),
        ("seed: !!int x", "1: a spec must be valid YAML, got: invalid literal for int() with base 10: 'x'"),
        (
            "knobs: !!python/object:os.system {}",
            "1: a spec holds mappings, lists and plain values,"
            " got the tag tag:yaml.org,2002:python/object:os.system",
        ),
    ],
)
def test_a_file_that_cannot_be_read(text: str | bytes, message: str) -> None:
    assert refusal(text) == f"spec.yaml:{message}"


@pytest.mark.parametrize("text", ["knobs: &a {a: *a}", "[" * 3000])
def test_endless_nesting(text: str) -> None:
    assert refusal(text) == "spec.yaml: a spec must not be nested as deeply as this one"


def test_aliases_that_grow() -> None:
    rows = ["a: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "a spec must hold at most 10000 values" in refusal("\n".join(rows))


@pytest.mark.parametrize(
    ("name", "reason"), [("absent.yaml", "No such file or directory"), (".", "Is a directory")]
)
def test_a_file_that_is_none(name: str, reason: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_spec_file(Path(name))
    assert str(caught.value) == f"{name}: a spec must be a file that can be read, got {reason!r}"
