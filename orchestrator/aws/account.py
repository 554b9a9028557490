"""Account: all that a cluster needs of an AWS account: what is there, what is missing, how it is made and
removed. The bill begins with `ray up`, not here: of these only a file system that holds something costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.exceptions import ClientError

from orchestrator.aws.answers import Answers
from orchestrator.aws.pieces import FileSystem, Network, Piece, SecurityGroup
from orchestrator.aws.roles import Role, SpotRole, head_rights
from orchestrator.spec.errors import SpecError

IMAGE = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id"
"""Where AWS names its newest Ubuntu with Docker, the NVIDIA driver and the NVIDIA container runtime."""
_ALIVE = ("pending", "running", "stopping", "stopped")


@dataclass(frozen=True)
class Identifiers:
    """What a cluster's file is filled in with."""

    image: str
    fallback: str
    security_group: str
    head_profile: str
    worker_profile: str
    file_system: str


class Account:
    """See the module. Nothing is changed but by `make` and `remove`.

    Raises:
        SpecError: the network that was asked for, or a default one, is not there, or AWS names no image.
    """

    def __init__(self, answers: Answers, image: str = IMAGE) -> None:
        self.answers, self._image = answers, image
        session = boto3.Session(region_name=answers.region)
        self._ec2, self._iam = session.client("ec2"), session.client("iam")
        self._ssm, self._sts = session.client("ssm"), session.client("sts")
        network = Network(self._ec2, answers.vpc)
        if network.id is None or not network.subnets:
            asked = answers.vpc or "none that is the account's default"
            raise SpecError(f"--vpc: must be a network of {answers.region} with a subnet, got {asked}")
        name = answers.name
        self.group = SecurityGroup(self._ec2, name, network.id, answers.source)
        self.files = FileSystem(session.client("efs"), name, network.subnets, self.group.found)
        self.worker = Role(self._iam, f"{name}-worker", "no rights")
        self.head = Role(
            self._iam, f"{name}-head", "starts and stops instances", lambda: head_rights(self._worker_role)
        )
        self.spot = SpotRole(self._iam)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """In the order in which they are made."""
        return (self.group, self.files, self.worker, self.head, self.spot)

    @cached_property
    def image(self) -> str:
        """The machine image: the one asked for, or the newest that AWS names."""
        if self.answers.image is not None:
            return self.answers.image
        try:
            found: str = self._ssm.get_parameter(Name=self._image)["Parameter"]["Value"]
        except ClientError as error:
            raise SpecError(
                f"--image: must be given where AWS names none, got {error.response['Error']['Code']} for"
                f" {self._image}"
            ) from None
        return found

    @cached_property
    def fallback(self) -> str:
        """The instance type that is taken where no zone has the asked one: of the same family and with the
        same GPUs the next larger, or itself where there is none.

        Raises:
            SpecError: the region has no such instance type, or it has no GPU.
        """
        family, _, _ = self.answers.gpu.partition(".")
        pages = self._ec2.get_paginator("describe_instance_types").paginate(
            Filters=[{"Name": "instance-type", "Values": [f"{family}.*"]}]
        )
        kinds = {kind["InstanceType"]: kind for page in pages for kind in page["InstanceTypes"]}
        asked = kinds.get(self.answers.gpu, {})
        if not _gpus(asked):
            known = ", ".join(sorted(name for name, kind in kinds.items() if _gpus(kind))) or "none"
            raise SpecError(
                f"--gpu: must be an instance type of {self.answers.region} with a GPU, got "
                f"{self.answers.gpu!r}; of its family there are: {known}"
            )
        larger = {
            kind["VCpuInfo"]["DefaultVCpus"]: name
            for name, kind in kinds.items()
            if _gpus(kind) == _gpus(asked)
            and kind["VCpuInfo"]["DefaultVCpus"] > asked["VCpuInfo"]["DefaultVCpus"]
        }
        return larger[min(larger)] if larger else self.answers.gpu

    @property
    def identifiers(self) -> Identifiers | None:
        """What a file is filled in with; None as long as a piece is missing."""
        found = [piece.found() for piece in (self.group, self.head, self.worker, self.files)]
        return None if None in found else Identifiers(self.image, self.fallback, *map(str, found))

    def make(self) -> Iterator[tuple[Piece, str]]:
        """Makes or mends one after the other; each with its identifier. What is as it should be is left
        alone, so that a second time changes nothing."""
        for piece in self.pieces:
            found = piece.found()
            yield piece, piece.make() if found is None or piece.changes() else found

    def remove(self, *, data: bool) -> Iterator[Piece]:
        """Removes one after the other, the last made first; the file system only with `data`, and without it
        the security group stays as well, as that is how the files are reached.

        Raises:
            SpecError: instances of the cluster are there still.
        """
        if running := self.instances():
            raise SpecError(
                f"--remove: must come behind `ray down`, got instances that are there: {', '.join(running)}"
            )
        for piece in reversed(self.removed(data=data)):
            piece.remove()
            yield piece

    def removed(self, *, data: bool) -> list[Piece]:
        """What of it is there and would be removed."""
        mine: tuple[Piece, ...] = (self.worker, self.head)
        mine = (self.group, self.files, *mine) if data else mine
        return [piece for piece in mine if piece.found() is not None]

    def instances(self) -> list[str]:
        """The cluster's machines that are not terminated, by Ray's tag."""
        pages = self._ec2.get_paginator("describe_instances").paginate(
            Filters=[
                {"Name": "tag:ray-cluster-name", "Values": [self.answers.name]},
                {"Name": "instance-state-name", "Values": list(_ALIVE)},
            ]
        )
        return [
            instance["InstanceId"]
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        ]

    @cached_property
    def _worker_role(self) -> str:
        """Its ARN, which is known before it is made."""
        return f"arn:aws:iam::{self._sts.get_caller_identity()['Account']}:role/{self.worker.name}"


def _gpus(kind: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Names and numbers of an instance type's GPUs."""
    return [(gpu["Name"], gpu["Count"]) for gpu in kind.get("GpuInfo", {}).get("Gpus", [])]
