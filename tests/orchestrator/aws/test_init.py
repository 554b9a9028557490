"""`cluster init` against a simulated AWS (moto, in this process): pieces made, mended, found, removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from typer.testing import CliRunner, Result

from orchestrator.aws.account import Account
from orchestrator.aws.answers import Answers
from orchestrator.aws.roles import SPOT
from orchestrator.cluster.__main__ import app
from orchestrator.spec.errors import SpecError
from tests.cluster_policy import violations
from tests.paths import ROOT
from tests.test_cluster_yaml import prepared

REGION, AMI = "eu-central-1", "ami-0123456789abcdef0"
GIVEN = ("--region", REGION, "--source", "203.0.113.7/32", "--image", AMI)


def init(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["init", *GIVEN, *arguments])


def client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)


def groups() -> list[dict[str, Any]]:
    named = [{"Name": "group-name", "Values": ["text-vae-sweep"]}]
    found = client("ec2").describe_security_groups(Filters=named)
    return list(found["SecurityGroups"])


def account(**answers: Any) -> Account:
    asked = {"name": "text-vae-sweep", "region": REGION, "source": "203.0.113.7/32", "image": AMI, **answers}
    return Account(Answers(**asked))


def test_a_plan_changes_nothing() -> None:
    done = init("--plan")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["missing"] * 5 + ["image", "workers"]
    assert lines[-1] == "workers  g4dn.xlarge, or else g4dn.2xlarge, as spot instances"
    assert groups() == []
    assert client("efs").describe_file_systems()["FileSystems"] == []
    assert client("iam").list_roles()["Roles"] == []


def test_an_empty_account_gets_a_file_that_ray_takes_and_the_policy_allows(tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    done = init("--yes", "--to", str(target), "--workers", "7", "--gpu", "g5.xlarge", "--price", "0.25")
    assert done.exit_code == 0, done.stderr
    (group,) = groups()
    text = target.read_text()
    assert "FILL-IN" not in text.replace("FILL[-]IN", "")
    config = prepared(yaml.safe_load(text))
    assert violations(config) == []
    worker = config["available_node_types"]["gpu_worker"]["node_config"]
    assert (config["cluster_name"], config["max_workers"]) == ("text-vae-sweep", 7)
    assert config["available_node_types"]["gpu_worker"]["max_workers"] == 7
    fallback = config["available_node_types"]["gpu_worker_fallback"]
    assert (fallback["max_workers"], fallback["node_config"]) == (7, {**worker, "InstanceType": "g5.2xlarge"})
    assert config["available_node_types"]["head"]["max_workers"] == 0
    assert (worker["InstanceType"], worker["ImageId"]) == ("g5.xlarge", AMI)
    assert worker["InstanceMarketOptions"] == {"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.25"}}
    assert worker["SecurityGroupIds"] == [group["GroupId"]]
    iam = client("iam")
    profiles = {name: iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"] for name in (
        "text-vae-sweep-head", "text-vae-sweep-worker")}  # fmt: skip
    assert worker["IamInstanceProfile"] == {"Arn": profiles["text-vae-sweep-worker"]["Arn"]}
    head = config["available_node_types"]["head"]["node_config"]
    assert head["IamInstanceProfile"] == {"Arn": profiles["text-vae-sweep-head"]["Arn"]}
    (system,) = client("efs").describe_file_systems()["FileSystems"]
    assert f"{system['FileSystemId']}.efs.{REGION}.amazonaws.com:/" in text
    assert "ray up" in done.stdout


@pytest.mark.parametrize(
    ("gpu", "fallback"),
    [
        ("g4dn.xlarge", "g4dn.2xlarge"),
        ("g5.12xlarge", "g5.24xlarge"),  # four A10G both
        ("g4dn.12xlarge", "g4dn.12xlarge"),  # no other has four
        ("g4dn.16xlarge", "g4dn.16xlarge"),  # the largest with one
    ],
)
def test_the_next_larger_type_with_the_same_gpus_is_the_fallback(gpu: str, fallback: str) -> None:
    assert account(gpu=gpu).fallback == fallback


@pytest.mark.parametrize(
    ("gpu", "known"), [("m5.xlarge", "none"), ("g4dn.huge", "g4dn.12xlarge, g4dn.16xlarge, g4dn.2xlarge")]
)
def test_a_type_without_a_gpu_is_refused(gpu: str, known: str) -> None:
    done = init("--gpu", gpu, "--plan")
    assert done.exit_code == 2
    assert f"with a GPU, got '{gpu}'; of its family there are: {known}" in done.stderr.replace("\n", " ")
    assert groups() == []


def test_what_is_made_is_closed() -> None:
    list(account().make())
    (group,) = groups()
    rules = {(rule["IpProtocol"], rule.get("FromPort")): rule for rule in group["IpPermissions"]}
    assert rules.keys() == {("-1", None), ("tcp", 22)} or rules.keys() == {("-1", -1), ("tcp", 22)}
    assert [found["CidrIp"] for found in rules["tcp", 22]["IpRanges"]] == ["203.0.113.7/32"]
    (members,) = (rule for key, rule in rules.items() if key[0] == "-1")
    assert [pair["GroupId"] for pair in members["UserIdGroupPairs"]] == [group["GroupId"]]
    assert members["IpRanges"] == []
    (system,) = client("efs").describe_file_systems()["FileSystems"]
    assert system["Encrypted"]
    targets = client("efs").describe_mount_targets(FileSystemId=system["FileSystemId"])["MountTargets"]
    zones = client("ec2").describe_availability_zones()["AvailabilityZones"]
    assert len({target["SubnetId"] for target in targets}) == len(zones)  # reached from every zone
    iam = client("iam")
    assert iam.list_role_policies(RoleName="text-vae-sweep-worker")["PolicyNames"] == []
    assert iam.list_attached_role_policies(RoleName="text-vae-sweep-worker")["AttachedPolicies"] == []
    policy = iam.get_role_policy(RoleName="text-vae-sweep-head", PolicyName="workers")["PolicyDocument"]
    worker = iam.get_role(RoleName="text-vae-sweep-worker")["Role"]["Arn"]
    allowed = {statement["Resource"]: statement["Action"] for statement in policy["Statement"]}
    assert allowed.keys() == {"*", worker}
    assert allowed[worker] == "iam:PassRole"
    assert all(action.startswith("ec2:") for action in allowed["*"])
    assert len(iam.list_roles(PathPrefix=f"/aws-service-role/{SPOT}/")["Roles"]) == 1


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    first = [(piece.what, found) for piece, found in account().make()]
    again = account()
    assert [piece.changes() for piece in again.pieces] == [None] * 5
    assert [(piece.what, found) for piece, found in again.make()] == first
    done = init("--to", str(tmp_path / "mine.yaml"))  # nothing to do, so nobody is asked
    assert done.exit_code == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[:5]] == ["there"] * 5


def test_another_address_range_takes_the_place_of_the_first() -> None:
    list(account().make())
    moved = account(source="198.51.100.0/24")
    assert moved.group.changes() == "SSH from 203.0.113.7/32"
    shown = CliRunner().invoke(app, ["init", *GIVEN, "--source", "198.51.100.0/24", "--plan"]).stdout
    assert shown.startswith("changed  security group: SSH from 198.51.100.0/24, ")
    assert "; now SSH from 203.0.113.7/32 (sg-" in shown
    list(moved.make())
    (group,) = groups()
    (ssh,) = (rule for rule in group["IpPermissions"] if rule.get("FromPort") == 22)
    assert [found["CidrIp"] for found in ssh["IpRanges"]] == ["198.51.100.0/24"]


def test_a_group_whose_members_cannot_reach_each_other_is_mended() -> None:
    list(account().make())
    (group,) = groups()
    (members,) = (rule for rule in group["IpPermissions"] if rule["IpProtocol"] == "-1")
    client("ec2").revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[members])
    half = account()
    assert half.group.changes() == "closed between its members"
    list(half.make())
    (mended,) = groups()
    rules = [sorted(found["IpPermissions"], key=lambda rule: rule["IpProtocol"]) for found in (group, mended)]
    assert rules[0] == rules[1]


def test_a_file_that_cannot_be_filled_in_is_said_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "cluster.yaml").read_text().replace("<FILL-IN: region, such as eu-central-1>", "eu-west-1")
    (tmp_path / "cluster.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    done = init("--yes")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: cluster.yaml must be the file as it is shipped, got 0 of ")
    assert groups() == []


def test_what_was_half_made_is_mended() -> None:
    iam = client("iam")
    iam.create_instance_profile(InstanceProfileName="text-vae-sweep-head")
    half = account()
    assert half.head.changes() == "without a role"
    list(half.make())
    assert half.head.changes() is None
    anything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.put_role_policy(
        RoleName="text-vae-sweep-head",
        PolicyName="workers",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [anything]}),
    )
    assert half.head.changes() == "with other rights"
    list(half.make())
    assert half.head.changes() is None


def test_a_group_of_that_name_that_somebody_else_made_is_not_touched() -> None:
    ec2 = client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    ec2.create_security_group(GroupName="text-vae-sweep", Description="not ours", VpcId=vpc)
    assert account().group.found() is None
    done = init("--yes", "--to", "never.yaml")
    assert done.exit_code == 2
    assert "InvalidGroup.Duplicate" in done.stderr
    assert not (ROOT / "never.yaml").exists()


def test_removing_leaves_the_sweeps_unless_told_otherwise() -> None:
    list(account().make())
    states = [line.split()[0] for line in init("--remove", "--plan").stdout.splitlines()]
    assert states == ["stays", "stays", "removed", "removed", "stays"]
    done = init("--remove", "--yes")
    assert done.exit_code == 0, done.stderr
    assert len(client("efs").describe_file_systems()["FileSystems"]) == 1
    assert len(groups()) == 1
    (role,) = client("iam").list_roles()["Roles"]
    assert role["Path"] == f"/aws-service-role/{SPOT}/"
    assert client("iam").list_instance_profiles()["InstanceProfiles"] == []
    assert init("--remove", "--data", "--yes").exit_code == 0
    assert client("efs").describe_file_systems()["FileSystems"] == []
    assert groups() == []
    assert init("--remove", "--data", "--yes").exit_code == 0  # and once more


def test_nothing_is_removed_under_a_running_cluster() -> None:
    list(account().make())
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "ray-cluster-name", "Value": "text-vae-sweep"}]}]
    run = client("ec2").run_instances(ImageId=AMI, MinCount=1, MaxCount=1, TagSpecifications=tags)
    (instance,) = run["Instances"]
    done = init("--remove", "--data", "--yes")
    assert (done.exit_code, done.stderr) == (
        2,
        "error: --remove: must come behind `ray down`, got instances that are there:"
        f" {instance['InstanceId']}\n",
    )
    assert len(groups()) == 1


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({"name": "My cluster"}, "--name: must be small letters, digits and dashes, got 'My cluster'"),
        ({"region": "frankfurt"}, "--region: must be such as eu-central-1, got 'frankfurt'"),
        ({"source": "me"}, "--source: must be an address range such as 203.0.113.7/32, got 'me'"),
        ({"source": "0.0.0.0/0"}, "--source: must be a range of /8 or smaller: your own, got '0.0.0.0/0'"),
        ({"source": "::/0"}, "--source: must be an address range such as 203.0.113.7/32, got '::/0'"),
        ({"workers": 0}, "--workers: must be >= 1, got 0"),
        ({"price": 0.0}, "--price: must be > 0, got 0.0"),
        ({"image": "ubuntu"}, "--image: must be such as ami-0123456789abcdef0, got 'ubuntu'"),
    ],
)
def test_what_is_refused_before_aws_is_asked(answers: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecError) as error:
        Answers(**{"name": "a-b", "region": REGION, "source": "10.0.0.0/8", **answers})
    assert str(error.value) == problem


def test_nobody_can_be_asked_and_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").touch()
    done = init("--yes", "--to", str(tmp_path / "mine.yaml"))
    assert done.exit_code == 2
    assert done.stderr.startswith("error: --to: must be a new file, got one that is there: ")
    done = init("--to", str(tmp_path / "other.yaml"))
    assert (
        done.stderr
        == "error: --yes: must be given where nobody can be asked, got neither it nor a terminal\n"
    )
    done = CliRunner().invoke(app, ["init", "--source", "10.0.0.0/8"])
    assert done.stderr == "error: --region: must be given where nobody can be asked, got nothing\n"
    assert groups() == []


def test_the_newest_image_that_aws_names() -> None:
    client("ssm").put_parameter(Name="/an/image", Value="ami-0feedfacefeedface", Type="String")
    answers = Answers("a-b", REGION, "10.0.0.0/8")
    assert Account(answers, image="/an/image").image == "ami-0feedfacefeedface"
    with pytest.raises(SpecError, match="--image: must be given where AWS names none, got ParameterNotFound"):
        _ = Account(answers, image="/no/image").image


def test_a_network_that_is_not_there() -> None:
    with pytest.raises(SpecError, match=r"--vpc: must be a network of eu-central-1 with a subnet, got vpc-0"):
        account(vpc="vpc-0123456789abcdef0")


def test_it_says_what_is_wrong_with_the_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    done = init("--plan")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: AWS: must do what it is asked for in {REGION}, got: ")
    assert "nobody" in done.stderr


def test_the_file_it_writes_is_the_one_that_is_shipped(tmp_path: Path) -> None:
    """But for the blanks and the lines on top: nothing is lost on the way."""
    target = tmp_path / "mine.yaml"
    assert init("--yes", "--to", str(target)).exit_code == 0
    shipped, mine = yaml.safe_load((ROOT / "cluster.yaml").read_text()), yaml.safe_load(target.read_text())
    differing = {key for key in shipped if shipped[key] != mine[key]}
    assert differing == {"provider", "available_node_types", "initialization_commands"}
    assert shipped.keys() == mine.keys()
