from pathlib import Path

import pytest

from trainables.text.reading import find_split_files, read_text_file
from trainables.text.splits import CorpusError


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


def test_line_numbers_count_blank_lines(tmp_path: Path) -> None:
    text = read_text_file(write(tmp_path / "text.txt", b"\xef\xbb\xbfx\t a  b \r\n\r\n \t\ny z\tc\n"))
    assert text.sentences == [["a", "b"], ["c"]]
    assert text.labels == ["x", "y z"]
    assert text.lines == [1, 4]
    assert text.where(1) == f"{tmp_path}/text.txt:4"
    assert text.take([1]).sentences == [["c"]]
    assert text.take([1]).where(0) == text.where(1)


@pytest.mark.parametrize("prefix", ["", "ptb.", "yahoo.short."])
@pytest.mark.parametrize("valid", ["valid", "dev", "val"])
def test_the_names_of_published_corpora_are_found(tmp_path: Path, prefix: str, valid: str) -> None:
    names = [f"{prefix}{split}.txt" for split in ("train", valid, "test")]
    touch(tmp_path, *names, "README.md", "train.txt.gz", ".hidden.train.txt", "untrain.txt")
    assert [path.name for path in find_split_files(tmp_path)] == names


@pytest.mark.parametrize("missing", ["train", "valid", "test"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    touch(tmp_path, *[f"{split}.txt" for split in ("train", "valid", "test") if split != missing])
    with pytest.raises(CorpusError) as error:
        find_split_files(tmp_path)
    more = ", dev.txt or *.dev.txt, val.txt or *.val.txt" if missing == "valid" else ""
    names = f"{missing}.txt or *.{missing}.txt{more}"
    assert str(error.value) == f"a corpus folder has one file for {missing} ({names}), got none: {tmp_path}"


@pytest.mark.parametrize(
    ("extra", "got"),
    [("ptb.dev.txt", "ptb.dev.txt and valid.txt"), ("x.train.txt", "train.txt and x.train.txt")],
)
def test_two_candidates_are_both_named(tmp_path: Path, extra: str, got: str) -> None:
    with pytest.raises(CorpusError, match=f"got {got}: {tmp_path}"):
        find_split_files(touch(tmp_path, "train.txt", "valid.txt", "test.txt", extra))


@pytest.mark.parametrize(
    ("content", "rule", "got"),
    [
        (b"", "at least one sentence", "none: FILE"),
        (b"\xef\xbb\xbf\n \r\n", "at least one sentence", "none: FILE"),
        (b"a\nb\x00c\n", "is UTF-8 text", "a NUL byte: FILE:2"),
        ("a\nb\n".encode("utf-16-le"), "is UTF-8 text", "a NUL byte: FILE:1"),
        (b"a\nb\nc caf\xe9\n", "is UTF-8", "byte 0xe9: FILE:3"),
        (b"\xef\xbb\xbfa\n\xff\n", "is UTF-8", "byte 0xff: FILE:2"),
        (b"a\n\nb <s> c\nd\n", "<s>, </s> and <pad> are reserved", "<s>: FILE:3"),
        (b"</s>\n", "reserved", "</s>: FILE:1"),
        (b"x\ta\nx\ta <pad>\n", "reserved", "<pad>: FILE:2"),
        (b"a\nb\n\nx\tc\nd\n", "exactly one tab", "1 here and 0 in line 1: FILE:4"),
        (b"\nx\ta\nb\nx\tc\n", "exactly one tab", "0 here and 1 in line 2: FILE:3"),
        (b"x\ty\ta\nx\ty\tb\n", "exactly one tab", "2 here and 2 in line 1: FILE:1"),
        (b"x\ta\nx\t \n", "label<TAB>sentence", "an empty sentence: FILE:2"),
        (b"x\ta\n \tb\n", "label<TAB>sentence", "an empty label: FILE:2"),
    ],
)
def test_bad_text_is_refused_with_its_place(tmp_path: Path, content: bytes, rule: str, got: str) -> None:
    path = write(tmp_path / "bad.txt", content)
    with pytest.raises(CorpusError) as error:
        read_text_file(path)
    assert rule in str(error.value)
    assert str(error.value).endswith(f", got {got.replace('FILE', str(path))}")
    assert len(str(error.value).splitlines()) == 1


def test_marks_where_files_were_put_together_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeffx\ta b\n\ufeffx\tc\r\ny\td\n".encode())
    text = read_text_file(path)
    assert text.labels == ["x", "x", "y"]
    assert text.sentences == [["a", "b"], ["c"], ["d"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\rc\n", r"a line ends with LF or CR LF, got a CR alone: .*:2$"),
        ("a\nb \ufeffc\n".encode(), r"U\+FEFF .* begins a file or a line, got one inside: .*:2$"),
    ],
)
def test_signs_that_nobody_sees(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        read_text_file(path)
