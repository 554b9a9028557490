"""An address means one file, to us and to the libraries below."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy

from orchestrator.common.addresses import home_expanded, sqlite_address, sqlite_file, utf8_path


@pytest.mark.parametrize("name", ["plain", "a b", "a%20b", "what?", "q#r", "100%", "ü", "a&b=c", "%3F?"])
def test_a_folders_own_database_is_written(name: str, tmp_path: Path) -> None:
    file = tmp_path / name / "mlflow.db"
    file.parent.mkdir()
    address = sqlite_address(file)
    assert sqlite_file(address) == file
    engine = sqlalchemy.create_engine(address)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE t (x)"))
    engine.dispose()
    with closing(sqlite3.connect(file)) as written:
        assert written.execute("SELECT name FROM sqlite_master").fetchall() == [("t",)]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]


def test_an_address_is_understood_as_sqlalchemy_understands_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sqlite_file("sqlite:///a%20b/x.db?timeout=3") == tmp_path / "a b" / "x.db"
    assert sqlite_file("sqlite:////root/../x.db") == Path("/x.db")
    assert sqlite_file("http://127.0.0.1:5000") is None


def test_a_home_that_nobody_knows() -> None:
    assert home_expanded("storage", "~/x") == Path.home() / "x"
    with pytest.raises(
        ValueError, match=r"^storage must begin with a home that exists, got '~nobody-at-all'"
    ):
        home_expanded("storage", "~nobody-at-all/x")


def test_a_path_that_is_not_utf_8() -> None:
    assert utf8_path("storage", Path("ü")) == Path("ü")
    with pytest.raises(ValueError, match=r"^storage must be a path in UTF-8, got b'\\xff'"):
        utf8_path("storage", Path("\udcff"))
