"""Names and texts that MLflow takes."""

import pytest

from orchestrator.common.problems import reason, without_password
from orchestrator.tracking.server.limits import name_problem, shortened, shortened_markdown


@pytest.mark.parametrize("name", ["nll", "test/nll", "best/nll_plus_kl", "a b:c.d-e", "ß"])
def test_names_that_mlflow_takes(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize("name", ["", "nll+kl", "/a", "a//b", "../a", "a/./b", "a/", ".", "x" * 251])
def test_names_that_mlflow_refuses(name: str) -> None:
    assert name_problem(name) is not None


def test_texts() -> None:
    assert shortened("x" * 50, 50) == "x" * 50
    assert shortened("x" * 51, 50) == "x" * 21 + " … [shortened, 51 characters]"
    assert len(shortened("x" * 51, 50)) == 50
    assert shortened_markdown("a\n" * 50, 60) == "a\n" * 10 + "a\n\n*Shortened: 100 characters in all.*"
    assert without_password("see http://me:secret@host:1/x and postgresql://u:p@db/x") == (
        "see http://host:1/x and postgresql://db/x"
    )


def test_the_reason_behind_an_error() -> None:
    def fail() -> None:
        try:
            try:
                raise ConnectionRefusedError(111, "Connection refused")
            except OSError as error:
                raise RuntimeError("max retries exceeded with url /api") from error
        except RuntimeError:
            raise ValueError("API request to http://me:secret@host failed") from None

    with pytest.raises(ValueError, match="API request") as raised:
        fail()
    assert reason(raised.value) == "Connection refused"
    assert reason(ValueError("cannot open http://me:secret@host/\nsecond line")) == "cannot open http://host/"
    assert reason(TimeoutError()) == "TimeoutError"
    assert reason(OSError("no code")) == "no code"
