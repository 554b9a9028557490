"""cluster.yaml is valid for Ray and for EC2, and safe: every rule below is also shown to be able to fail."""

import contextlib
import copy
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import InvalidRegionError
from jsonschema import ValidationError
from ray.autoscaler._private.aws.config import bootstrap_aws
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.cluster_policy import PINS, Config, unknown_to_ec2, violations
from tests.orchestrator.tracking_fixtures import free_port, is_healthy
from tests.paths import ROOT
from tests.sweep_process import processes_in

TEXT = (ROOT / "cluster.yaml").read_text(encoding="utf-8")

FILLED = {
    "region": "eu-central-1",
    "file system": "fs-0123456789abcdef0.efs.eu-central-1.amazonaws.com",
    "image": "ami-0123456789abcdef0",
    "security group": "sg-0123456789abcdef0",
    "head profile": "arn:aws:iam::123456789012:instance-profile/head",
    "worker profile": "arn:aws:iam::123456789012:instance-profile/worker",
}


def filled(text: str = TEXT) -> Config:
    """The file as a user completes it."""
    config = yaml.safe_load(re.sub(r"<FILL-IN: ([^,>]+)[^>]*>", lambda found: FILLED.get(found[1], ""), text))
    assert isinstance(config, dict)
    return config


def prepared(config: Config) -> Config:
    """With Ray's defaults, which are what stands in for everything that the file leaves out."""
    complete = prepare_config(copy.deepcopy(config))
    assert isinstance(complete, dict)
    return complete


# -- the file --------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [yaml.safe_load(TEXT), filled()], ids=["as shipped", "filled in"])
def test_ray_accepts_the_file(config: Config) -> None:
    validate_config(prepared(config))


def test_ray_accepts_the_file_for_machines_at_hand() -> None:
    config = yaml.safe_load((ROOT / "clusters" / "local.yaml").read_text())
    validate_config(prepared(config))
    with pytest.raises(ValidationError):
        validate_config(prepared({**config, "head_ip": "10.0.0.1"}))


def test_the_file_is_safe() -> None:
    assert violations(prepared(filled())) == []


@pytest.mark.parametrize("name", filled()["available_node_types"])
def test_ec2_knows_every_parameter(name: str) -> None:
    assert unknown_to_ec2(filled()["available_node_types"][name]["node_config"]) == []


def test_every_placeholder_has_to_be_filled_in() -> None:
    names = re.findall(r"<FILL-IN: ([a-z ]+),", TEXT)
    assert sorted(names) == sorted(FILLED)
    assert not re.search(r"AKIA|ASIA|aws_secret|\bami-[0-9a-f]{8}|\bsg-[0-9a-f]{8}|\d{12}", TEXT), (
        "an account's own"
    )


def test_an_unfilled_file_fails_before_the_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InvalidRegionError, match="FILL-IN: region"):
        bootstrap_aws(prepared(yaml.safe_load(TEXT)))


def test_a_forgotten_placeholder_ends_the_set_up(tmp_path: Path) -> None:
    bootstrap = tmp_path / "ray_bootstrap_config.yaml"  # what `ray up` puts on the head: the file, as JSON

    def guard() -> int:
        command = ["bash", "-c", filled()["setup_commands"][0]]
        return subprocess.run(command, env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]}).returncode

    assert guard() == 0, "a worker has no such file"
    bootstrap.write_text(json.dumps(filled()), encoding="utf-8")
    assert guard() == 0, "the guard, itself in the file, finds itself"
    forgotten = TEXT.replace("<FILL-IN: worker profile", "<FORGOTTEN: worker profile")
    bootstrap.write_text(json.dumps(filled(forgotten)).replace("FORGOTTEN", "FILL-IN"), encoding="utf-8")
    assert guard() == 1


@pytest.mark.slow
def test_mlflow_outlives_its_connection_and_a_second_start(tmp_path: Path) -> None:
    (command,) = [each for each in filled()["head_start_ray_commands"] if "mlflow server" in each]
    port = free_port()
    command = command.replace("/store", f"{tmp_path}/store").replace("--port 5000", f"--port {port}")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    start = {"cwd": tmp_path, "env": os.environ | {"PATH": path}, "timeout": 20, "check": True}
    log, end = tmp_path / "store" / "mlflow" / "server.log", time.monotonic() + 180
    try:
        subprocess.run(["bash", "-c", command], **start)
        while not is_healthy(port):
            assert time.monotonic() < end
            time.sleep(0.2)
        subprocess.run(["bash", "-c", command], **start)
        while "in use" not in log.read_text():  # by the first, says the second
            assert time.monotonic() < end
            time.sleep(0.5)
        assert is_healthy(port)
        assert (tmp_path / "store" / "mlflow" / "mlflow.db").is_file()
    finally:
        for server in processes_in(tmp_path):
            with contextlib.suppress(ProcessLookupError):
                os.kill(server, signal.SIGKILL)


@pytest.mark.parametrize("cuda", [True, False])
def test_mps_stays_where_cuda_works_with_it_alone(tmp_path: Path, cuda: bool) -> None:
    (command,) = [each for each in filled()["worker_start_ray_commands"] if "mps" in each]
    log = tmp_path / "log"
    for name, script in {
        "nvidia-cuda-mps-control": f'if [ "$1" = -d ]; then echo start; else cat; fi >> {log}',
        "python": f"exit {0 if cuda else 1}",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    for path in (f"{tmp_path}:{os.environ['PATH']}", os.environ["PATH"]):  # and on a machine without it
        assert subprocess.run(["bash", "-c", command], env={"PATH": path}).returncode == 0
    assert log.read_text().split() == ["start", *([] if cuda else ["quit"])]


# -- the rules can fail ----------------------------------------------------------------------------

HEAD, WORKER = "head", "gpu_worker"


def node(config: Config, name: str) -> Config:
    settings = config["available_node_types"][name]["node_config"]
    assert isinstance(settings, dict)
    return settings


def edit(key: str, old: str, new: str) -> Callable[[Config], None]:
    def change(config: Config) -> None:
        assert any(old in command for command in config[key])
        config[key] = [command.replace(old, new) for command in config[key]]

    return change


UNSAFE: dict[str, tuple[str, Callable[[Config], Any]]] = {
    "Ray's security group": ("no SecurityGroupIds", lambda c: node(c, WORKER).pop("SecurityGroupIds")),
    "open port": (
        "provider.security_group",
        lambda c: c["provider"].update(
            security_group={"GroupName": "open", "IpPermissions": [{"FromPort": 8265}]}
        ),
    ),
    "own interface": ("NetworkInterfaces", lambda c: node(c, HEAD).update(NetworkInterfaces=[{}])),
    "launch template": ("LaunchTemplate", lambda c: node(c, HEAD).update(LaunchTemplate={})),
    "published port": ("opens the host", lambda c: c["docker"]["run_options"].append("-p 8265:8265")),
    "privileged": ("opens the host", lambda c: c["docker"].update(worker_run_options=["--privileged"])),
    "IMDSv1": ("IMDSv1", lambda c: node(c, WORKER)["MetadataOptions"].update(HttpTokens="optional")),
    "IMDS default": ("IMDSv1", lambda c: node(c, HEAD).pop("MetadataOptions")),
    "plain disk": (
        "not encrypted",
        lambda c: node(c, HEAD)["BlockDeviceMappings"][0]["Ebs"].pop("Encrypted"),
    ),
    "no profile": ("no instance profile", lambda c: node(c, HEAD).pop("IamInstanceProfile")),
    "head's profile": (
        "share the head's",
        lambda c: node(c, WORKER).update(IamInstanceProfile=node(c, HEAD)["IamInstanceProfile"]),
    ),
    "trials on the head": (
        "land on the head",
        lambda c: c["available_node_types"][HEAD].update(resources={}),
    ),
    "on-demand": ("on-demand", lambda c: node(c, WORKER).pop("InstanceMarketOptions")),
    "one zone": ("one zone", lambda c: c["provider"].update(availability_zone="eu-central-1a")),
    "one type": ("instance type alone", lambda c: c["available_node_types"].pop("gpu_worker_fallback")),
    "no notice": ("taken away", lambda c: c["worker_start_ray_commands"].pop(2)),
    "credentials": ("a secret", lambda c: c["provider"].update(aws_credentials={"aws_access_key_id": "x"})),
    "no token on the nodes": ("the token is not", lambda c: c["file_mounts"].pop("~/.ray/auth_token")),
    "no token mode": (
        "without token",
        lambda c: c["docker"]["run_options"].remove("--env RAY_AUTH_MODE=token"),
    ),
    "head without token": ("without token", edit("head_start_ray_commands", "RAY_AUTH_MODE=token ", "")),
    "worker without token": (
        "without token",
        edit("worker_start_ray_commands", "MODE=token", "MODE=disabled"),
    ),
    "few files": ("open files", edit("worker_start_ray_commands", "ulimit -n 65536 &&", "")),
    "dashboard 0.0.0.0": ("127.0.0.1", edit("head_start_ray_commands", "127.0.0.1", "0.0.0.0")),
    "usage statistics": ("usage", edit("head_start_ray_commands", "--disable-usage-stats", "")),
    "MLflow 0.0.0.0": (
        "server is not",
        edit("head_start_ray_commands", "--host 127.0.0.1", "--host 0.0.0.0"),
    ),
    "MLflow with its own jobs": (
        "runs jobs of its own",
        edit("head_start_ray_commands", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false ", ""),
    ),
    "MLflow with a connection": ("dies with", edit("head_start_ray_commands", "nohup setsid ", "")),
    "MLflow on the head": ("outlive", edit("head_start_ray_commands", "////store", "////home")),
    "MLflow's files on the head": (
        "outlive",
        edit("head_start_ray_commands", "destination /store", "destination /home"),
    ),
    "no MLflow": ("no MLflow", lambda c: c["head_start_ray_commands"].pop()),
    "no store": ("not mounted", lambda c: c.update(initialization_commands=[])),
    "no store in the containers": (
        "not in the containers",
        lambda c: c["docker"]["run_options"].remove("-v /store:/store"),
    ),
    "Ray's start commands": ("listens on all", lambda c: c.pop("head_start_ray_commands")),
    "no start": ("does not start", lambda c: c.update(worker_start_ray_commands=["ray stop"])),
    "Ray's set-up": ("installs a nightly", lambda c: c.pop("setup_commands")),
    "nightly image": (
        "not a pinned",
        lambda c: c["docker"].update(head_image="rayproject/ray:nightly-py311-cpu"),
    ),
    "no tag": ("not a pinned", lambda c: c["docker"].update(worker_image="rayproject/ray")),
    "other Ray": ("the lock has", lambda c: c["docker"].update(head_image="rayproject/ray:2.9.3-py311-cpu")),
    "other Python": (
        "is not that",
        lambda c: c["docker"].update(head_image=f"rayproject/ray:{PINS['ray']}-py312-cpu"),
    ),
    "no lock": ("lock is not on", lambda c: c["file_mounts"].pop("~/requirements.lock")),
    "lock not installed": ("does not install", lambda c: c.update(setup_commands=["true"])),
    "loose package": ("besides the lock", lambda c: c["setup_commands"].append("pip install -U torch")),
    "other torch": ("pins torch", lambda c: c["setup_commands"].append("pip install torch==2.0.0")),
    "many workers": ("no careful ceiling", lambda c: c.update(max_workers=100)),
    "idle": ("idle machines", lambda c: c.update(idle_timeout_minutes=600)),
    "stopped": ("stopped instances", lambda c: c["provider"].pop("cache_stopped_nodes")),
    "always on": ("min_workers", lambda c: c["available_node_types"][WORKER].update(min_workers=1)),
}


@pytest.mark.parametrize(("expected", "change"), UNSAFE.values(), ids=UNSAFE.keys())
def test_a_rule_can_fail(expected: str, change: Callable[[Config], Any]) -> None:
    config = copy.deepcopy(filled())
    change(config)
    assert any(expected in line for line in violations(prepared(config)))


@pytest.mark.parametrize(
    "change",
    [
        {"MetadataOption": {"HttpTokens": "required"}},
        {"MetadataOptions": {"HttpToken": "required"}},
        {"MetadataOptions": {"HttpTokens": "require"}},
        {"InstanceMarketOptions": {"MarketType": "Spot"}},
        {"IamInstanceProfile": "arn:aws:iam::123456789012:instance-profile/worker"},
        {"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"Encrypt": True}}]},
    ],
    ids=str,
)
def test_a_misspelt_parameter_is_found(change: Config) -> None:
    assert unknown_to_ec2({**node(filled(), WORKER), **change})


def test_a_misspelt_top_level_key_is_found() -> None:
    with pytest.raises(ValidationError, match="idle_timeout"):
        validate_config(prepared({**filled(), "idle_timeout": 5}))
