"""A simulated AWS (moto, in this process), and this checkout as the folder that a user is in."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from tests.paths import ROOT


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "simulated")
    monkeypatch.chdir(ROOT)
    with mock_aws():
        yield
