"""The rules that cluster.yaml keeps, over a configuration that Ray has completed with its defaults.

Ray's own schema check sees neither what is unsafe nor anything inside ``node_config``.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

LOCK = (Path(__file__).resolve().parent.parent / "requirements.lock").read_text(encoding="utf-8")
PINS = dict(line.split("==") for line in LOCK.splitlines() if line and not line.startswith("#"))

IMAGE = re.compile(
    r"rayproject/ray:(?P<ray>\d+\.\d+\.\d+)-py(?P<python>\d+)-(cpu|gpu|cu\d+)(@sha256:[0-9a-f]{64})?"
)
PIP = re.compile(r"python -m pip install (--no-cache-dir )?-r ~/requirements\.lock")
PIN = re.compile(r"([A-Za-z][\w.-]*)==([\w.]+)")
Config = dict[str, Any]


def violations(config: Config) -> list[str]:
    """What is unsafe in a prepared configuration, one line each."""
    return [*network(config), *nodes(config), *launch(config), *pins(config), *budget(config)]


def network(config: Config) -> Iterator[str]:
    if "security_group" in config["provider"]:
        yield "provider.security_group: Ray adds port 22 for the whole world to it"
    for name, node in config["available_node_types"].items():
        if not node["node_config"].get("SecurityGroupIds"):
            yield f"{name}: no SecurityGroupIds, so Ray opens port 22 to the whole world"
        for key in ("NetworkInterfaces", "LaunchTemplate", "UserData"):
            if key in node["node_config"]:
                yield f"{name}: {key} may open what this file closes"
    if "," not in config["provider"].get("availability_zone", ","):
        yield "provider.availability_zone: one zone alone, which may have no machine left"
    docker = config["docker"]
    for option in [
        o for key in ("run_options", "head_run_options", "worker_run_options") for o in docker.get(key, [])
    ]:
        if re.search(r"(^|\s)(-p\b|--publish|--privileged|--network|--net\b)", option):
            yield f"docker option opens the host: {option}"


def nodes(config: Config) -> Iterator[str]:
    types = config["available_node_types"]
    for name, node in types.items():
        settings = node["node_config"]
        metadata = settings.get("MetadataOptions", {})
        if metadata.get("HttpTokens") != "required" or metadata.get("HttpPutResponseHopLimit") != 1:
            yield f"{name}: IMDSv1 is on, or its answers travel more than one hop"
        disks = settings.get("BlockDeviceMappings", [])
        if not disks or not all(
            d["Ebs"].get("Encrypted") and d["Ebs"].get("DeleteOnTermination") for d in disks
        ):
            yield f"{name}: a disk is not encrypted, or outlives its instance"
        if not settings.get("IamInstanceProfile"):
            yield f"{name}: no instance profile of its own"
        if name == config["head_node_type"]:
            if node["resources"].get("CPU") != 0 or "GPU" in node["resources"]:
                yield "head: trials may land on the head"
            continue
        if settings.get("InstanceMarketOptions", {}).get("MarketType") != "spot":
            yield f"{name}: on-demand instead of spot"
        if settings.get("IamInstanceProfile") == types[config["head_node_type"]]["node_config"].get(
            "IamInstanceProfile"
        ):
            yield f"{name}: workers share the head's instance profile"
    if len({each["node_config"]["InstanceType"] for name, each in types.items() if name != "head"}) < 2:
        yield "workers: of one instance type alone, which no zone may have"
    if config["provider"].get("aws_credentials"):
        yield "provider.aws_credentials: a secret in a file"


def launch(config: Config) -> Iterator[str]:
    if not any(option == "--env RAY_AUTH_MODE=token" for option in config["docker"].get("run_options", [])):
        yield "docker: commands in the containers run without token authentication"
    if "~/.ray/auth_token" not in config["file_mounts"]:
        yield "file_mounts: the token is not on every node"
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        starts = [command for command in config[key] if "ray start" in command]
        if not starts:
            yield f"{key}: does not start Ray"
        for command in starts:
            if "RAY_AUTH_MODE=token ray start" not in command:
                yield f"{key}: starts without token authentication"
            if "ulimit -n 65536" not in command:
                yield f"{key}: too few open files"
            if "0.0.0.0" in command:
                yield f"{key}: listens on all addresses"
            if key.startswith("head") and "--dashboard-host=127.0.0.1" not in command:
                yield f"{key}: the dashboard and its Jobs API are not bound to 127.0.0.1"
            if key.startswith("head") and "--disable-usage-stats" not in command:
                yield f"{key}: usage statistics leave the cluster"
    servers = [command for command in config["head_start_ray_commands"] if "mlflow server" in command]
    if not servers:
        yield "head_start_ray_commands: no MLflow server, or one that dies with a connection"
    for command in servers:
        if "--host 127.0.0.1 " not in command:
            yield "MLflow's server is not bound to 127.0.0.1"
        if "nohup setsid mlflow" not in command:
            yield "MLflow's server dies with the connection that started it"
        if "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false nohup" not in command:
            yield "MLflow's server runs jobs of its own"
        if re.findall(r"(?:sqlite:///|destination )(/\w+)", command) != ["/store", "/store"]:
            yield "MLflow's database or files do not outlive the head"
    if not any("spot_notice.py aws" in command for command in config["worker_start_ray_commands"]):
        yield "worker_start_ray_commands: nobody tells trials that their machine is taken away"
    if not any("-v /store:/store" in option for option in config["docker"].get("run_options", [])):
        yield "docker: what must outlive the head is not in the containers"
    if not any("nfs4" in command and " /store" in command for command in config["initialization_commands"]):
        yield "initialization_commands: what must outlive the head is not mounted"


def pins(config: Config) -> Iterator[str]:
    docker = config["docker"]
    for key in ("head_image", "worker_image"):
        image = IMAGE.fullmatch(docker.get(key) or docker.get("image") or "")
        if not image:
            yield f"{key}: not a pinned Ray image: {docker.get(key) or docker.get('image')}"
        elif image["ray"] != PINS["ray"]:
            yield f"{key}: Ray {image['ray']}, the lock has {PINS['ray']}"
        elif f"Python {image['python'][0]}.{image['python'][1:]}" not in LOCK.splitlines()[1]:
            yield f"{key}: Python {image['python']} is not that of the lock"
    if config["file_mounts"].get("~/requirements.lock") != "requirements.lock":
        yield "file_mounts: the lock is not on every node"
    for key in ("head_setup_commands", "worker_setup_commands"):  # with what they have in common
        if not any(PIP.fullmatch(command) for command in config[key]):
            yield f"{key}: does not install the lock"
    commands = [c for key, value in config.items() if key.endswith("_commands") for c in value]
    for command in dict.fromkeys(commands):
        if re.search(r"ray-wheels|nightly|:latest|\.dev0", command):
            yield f"installs a nightly: {command}"
        if re.search(r"\b(pip|uv|conda)\b.*\binstall\b", command) and not PIP.fullmatch(command):
            yield f"installs something besides the lock: {command}"
        for package, version in PIN.findall(command):
            if PINS.get(package.lower()) != version:
                yield f"pins {package} {version}, the lock has {PINS.get(package.lower())}"


def budget(config: Config) -> Iterator[str]:
    if not 1 <= config["max_workers"] <= 16:
        yield f"max_workers: {config['max_workers']} is no careful ceiling"
    if not 1 <= config["idle_timeout_minutes"] <= 15:
        yield f"idle_timeout_minutes: {config['idle_timeout_minutes']} pays for idle machines"
    if config["provider"].get("cache_stopped_nodes", True):
        yield "provider: stopped instances go on paying for their disks"
    for name, node in config["available_node_types"].items():
        if node["min_workers"] != 0:
            yield f"{name}: min_workers is not 0, so machines stay on without work"


@cache
def run_instances() -> Any:
    """EC2's parameters, from the service model that botocore ships: no network."""
    return botocore.session.get_session().get_service_model("ec2").operation_model("RunInstances").input_shape


def unknown_to_ec2(node_config: Config) -> list[str]:
    """Misspelt keys, wrong types and values outside an enumeration, at any depth."""
    parameters = {k: v for k, v in node_config.items() if k != "SubnetIds"}  # Ray's own
    report = ParamValidator().validate({"MinCount": 1, "MaxCount": 1, **parameters}, run_instances())
    found = [report.generate_report()] if report.has_errors() else []

    def walk(value: Any, shape: Any, path: str) -> None:
        if isinstance(value, dict) and shape.type_name == "structure":
            for key in value.keys() & shape.members.keys():
                walk(value[key], shape.members[key], f"{path}.{key}")
        elif isinstance(value, list) and shape.type_name == "list":
            for item in value:
                walk(item, shape.member, path)
        elif (enum := getattr(shape, "enum", None)) and value not in enum:
            found.append(f"{path}: {value!r} is not one of EC2's values")

    walk(parameters, run_instances(), "node_config")
    return found
