"""Roles: what the machines of a cluster may do. Workers may do nothing, the head may start and stop them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
_POLICY = "workers"
SPOT = "spot.amazonaws.com"
_HEAD_MAY = (
    "RunInstances",
    "TerminateInstances",
    "CreateTags",
    "DescribeInstances",
    "DescribeInstanceTypes",
)


@dataclass
class Role:
    """A role with an instance profile of the same name; `found` is the profile's ARN.

    Args:
        rights: its policy; None gives no rights at all.
    """

    iam: Any
    name: str
    says: str
    rights: Callable[[], dict[str, Any]] | None = None

    @property
    def what(self) -> str:
        return f"role and instance profile {self.name}: {self.says}"

    def found(self) -> str | None:
        profile = _or_none(lambda: self.iam.get_instance_profile(InstanceProfileName=self.name))
        return profile["InstanceProfile"]["Arn"] if profile else None

    def changes(self) -> str | None:
        """What is missing of a role that was begun, or that its rights are others."""
        profile = _or_none(lambda: self.iam.get_instance_profile(InstanceProfileName=self.name))
        if profile is None or not profile["InstanceProfile"]["Roles"]:
            return "without a role"
        return None if self._policy() == (self.rights() if self.rights else None) else "with other rights"

    def make(self) -> str:
        if not _or_none(lambda: self.iam.get_role(RoleName=self.name)):
            self.iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=json.dumps(_TRUST))
        if self.rights is not None:
            self.iam.put_role_policy(
                RoleName=self.name, PolicyName=_POLICY, PolicyDocument=json.dumps(self.rights())
            )
        if self.found() is None:
            self.iam.create_instance_profile(InstanceProfileName=self.name)
        profile = self.iam.get_instance_profile(InstanceProfileName=self.name)["InstanceProfile"]
        if not profile["Roles"]:
            self.iam.add_role_to_instance_profile(InstanceProfileName=self.name, RoleName=self.name)
        arn: str = profile["Arn"]
        return arn

    def remove(self) -> None:
        profile = _or_none(lambda: self.iam.get_instance_profile(InstanceProfileName=self.name))
        if profile:
            for role in profile["InstanceProfile"]["Roles"]:
                self.iam.remove_role_from_instance_profile(
                    InstanceProfileName=self.name, RoleName=role["RoleName"]
                )
            self.iam.delete_instance_profile(InstanceProfileName=self.name)
        if _or_none(lambda: self.iam.get_role(RoleName=self.name)):
            for policy in self.iam.list_role_policies(RoleName=self.name)["PolicyNames"]:
                self.iam.delete_role_policy(RoleName=self.name, PolicyName=policy)
            self.iam.delete_role(RoleName=self.name)

    def _policy(self) -> dict[str, Any] | None:
        found = _or_none(lambda: self.iam.get_role_policy(RoleName=self.name, PolicyName=_POLICY))
        policy: dict[str, Any] | None = found["PolicyDocument"] if found else None
        return policy


@dataclass
class SpotRole:
    """The role with which AWS itself starts spot instances: one for the account, never removed."""

    iam: Any
    what = "role of EC2 Spot, one for the account"

    def found(self) -> str | None:
        roles = self.iam.list_roles(PathPrefix=f"/aws-service-role/{SPOT}/")["Roles"]
        return roles[0]["Arn"] if roles else None

    def changes(self) -> str | None:
        return None

    def make(self) -> str:
        if arn := self.found():
            return arn
        return str(self.iam.create_service_linked_role(AWSServiceName=SPOT)["Role"]["Arn"])

    def remove(self) -> None:
        """Other work of the account may rest on it."""


def head_rights(worker_role: str) -> dict[str, Any]:
    """To start and stop instances, and to hand them the role of workers and no other.

    Args:
        worker_role: its ARN.
    """
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Resource": "*", "Action": [f"ec2:{action}" for action in _HEAD_MAY]},
            {"Effect": "Allow", "Resource": worker_role, "Action": "iam:PassRole"},
        ],
    }


def _or_none(ask: Callable[[], Any]) -> Any:
    """What AWS answers; None for what it does not have."""
    try:
        return ask()
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchEntity":
            return None
        raise
