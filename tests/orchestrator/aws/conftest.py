"""A simulated AWS (moto, in this process), and this checkout as the folder that a user is in."""

import functools
from collections.abc import Iterator

import pytest
from botocore.loaders import JSONFileLoader
from moto import mock_aws

from tests.paths import ROOT


@pytest.fixture(autouse=True, scope="session")
def read_once() -> Iterator[None]:
    """The descriptions of AWS's services: each session of boto3 reads megabytes of them."""
    loader = JSONFileLoader()
    once = functools.cache(loader.load_file)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(JSONFileLoader, "load_file", lambda _, path: once(path))
        yield


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # a thousand, for each test
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "simulated")
    monkeypatch.chdir(ROOT)
    with mock_aws():
        yield
