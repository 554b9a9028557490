"""The pieces of an account that a cluster needs: each is looked for, made where it is missing, removed again.

What is made carries the cluster's name as tag or as its own name, and only that is ever found or removed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

TAG = "text-vae-sweep"
_SSH = 22


class Piece(Protocol):
    """One thing of an account. `found` is its identifier, None where there is none; `changes` says what of it
    is not as it should be, in words. `make` makes it or mends it and gives the identifier."""

    @property
    def what(self) -> str: ...

    def found(self) -> str | None: ...

    def changes(self) -> str | None: ...

    def make(self) -> str: ...

    def remove(self) -> None: ...


@dataclass
class SecurityGroup:
    """Port 22 from the user's address range, everything between its members, nothing else."""

    ec2: Any
    name: str
    vpc: str
    source: str

    @property
    def what(self) -> str:
        return f"security group: SSH from {self.source}, all between its members"

    def found(self) -> str | None:
        group = self._group()
        return group["GroupId"] if group else None

    def changes(self) -> str | None:
        """Which ranges come in by SSH that should not, or do not that should; or that its members are kept
        from each other."""
        ranges = self._ranges()
        if not self._joins_members():
            return "closed between its members"
        return None if ranges == {self.source} else f"SSH from {', '.join(sorted(ranges)) or 'nowhere'}"

    def make(self) -> str:
        group = self.found()
        if group is None:
            group = self.ec2.create_security_group(
                GroupName=self.name, Description=f"{self.name}: SSH and its own members", VpcId=self.vpc,
                TagSpecifications=[{"ResourceType": "security-group", "Tags": _tags(self.name)}],
            )["GroupId"]  # fmt: skip
        if not self._joins_members():
            members = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
            self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[members])
        if others := self._ranges() - {self.source}:
            self.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[_ssh(sorted(others))])
        if self.source not in self._ranges():
            self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[_ssh([self.source])])
        return group

    def remove(self) -> None:
        if group := self.found():
            self.ec2.delete_security_group(GroupId=group)

    def _group(self) -> dict[str, Any] | None:
        filters = {"group-name": self.name, "vpc-id": self.vpc, f"tag:{TAG}": self.name}
        groups = self.ec2.describe_security_groups(Filters=_filters(filters))["SecurityGroups"]
        return groups[0] if groups else None

    def _joins_members(self) -> bool:
        group = self._group()
        return group is not None and any(
            pair["GroupId"] == group["GroupId"]
            for rule in group["IpPermissions"]
            if rule["IpProtocol"] == "-1"
            for pair in rule["UserIdGroupPairs"]
        )

    def _ranges(self) -> set[str]:
        group = self._group() or {"IpPermissions": []}
        return {
            found["CidrIp"]
            for rule in group["IpPermissions"]
            if rule.get("FromPort") == _SSH
            for found in rule["IpRanges"]
        }


@dataclass
class FileSystem:
    """An encrypted file system (EFS) that every node mounts, reached from each subnet of the network."""

    efs: Any
    name: str
    subnets: Sequence[str]
    group: Callable[[], str | None]
    wait_s: float = 2.0

    @property
    def what(self) -> str:
        return f"file system (EFS), encrypted, reached from {len(self.subnets)} subnets: sweeps and MLflow"

    def found(self) -> str | None:
        systems = self.efs.describe_file_systems(CreationToken=self.name)["FileSystems"]
        return systems[0]["FileSystemId"] if systems else None

    def changes(self) -> str | None:
        missing = self._missing()
        return f"not reached from {len(missing)} subnets" if missing else None

    def make(self) -> str:
        system = self.found()
        if system is None:
            tags = [{"Key": "Name", "Value": self.name}, *_tags(self.name)]
            system = self.efs.create_file_system(CreationToken=self.name, Encrypted=True, Tags=tags)[
                "FileSystemId"
            ]
        while self._state(system) == "creating":
            time.sleep(self.wait_s)
        for subnet in self._missing():
            self.efs.create_mount_target(FileSystemId=system, SubnetId=subnet, SecurityGroups=[self.group()])
        return system

    def remove(self) -> None:
        if (system := self.found()) is None:
            return
        for target in self._targets(system):
            self.efs.delete_mount_target(MountTargetId=target["MountTargetId"])
        while self._targets(system):
            time.sleep(self.wait_s)
        self.efs.delete_file_system(FileSystemId=system)

    def _state(self, system: str) -> str:
        return str(self.efs.describe_file_systems(FileSystemId=system)["FileSystems"][0]["LifeCycleState"])

    def _targets(self, system: str) -> list[dict[str, Any]]:
        return list(self.efs.describe_mount_targets(FileSystemId=system)["MountTargets"])

    def _missing(self) -> list[str]:
        system = self.found()
        there = {target["SubnetId"] for target in self._targets(system)} if system else set()
        return [subnet for subnet in self.subnets if subnet not in there]


@dataclass
class Network:
    """Where the cluster stands: a network that exists, with a subnet in each availability zone. Not made."""

    ec2: Any
    vpc: str | None

    @cached_property
    def id(self) -> str | None:
        """The one asked for, or the default one; None where there is none."""
        by = {"vpc-id": self.vpc} if self.vpc else {"is-default": "true"}
        found = self.ec2.describe_vpcs(Filters=_filters(by))["Vpcs"]
        return found[0]["VpcId"] if found else None

    @cached_property
    def subnets(self) -> list[str]:
        """One of each zone."""
        found = self.ec2.describe_subnets(Filters=_filters({"vpc-id": str(self.id)}))["Subnets"]
        by_zone = {subnet["AvailabilityZone"]: subnet["SubnetId"] for subnet in found}
        return [by_zone[zone] for zone in sorted(by_zone)]


def _ssh(ranges: Sequence[str]) -> dict[str, Any]:
    return {
        "IpProtocol": "tcp", "FromPort": _SSH, "ToPort": _SSH,
        "IpRanges": [{"CidrIp": found} for found in ranges],
    }  # fmt: skip


def _tags(name: str) -> list[dict[str, str]]:
    return [{"Key": TAG, "Value": name}]


def _filters(by: dict[str, str]) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": [value]} for name, value in by.items()]
