"""The files for other clusters: as far as they can be looked at without one."""

import re
import subprocess
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import validate_config

from tests.cluster_policy import PINS, launch, pins
from tests.paths import ROOT
from tests.test_cluster_yaml import prepared
from trainables.trainable import SPOT_NOTICE

CLUSTERS = ROOT / "clusters"
GCP = yaml.safe_load((CLUSTERS / "gcp.yaml").read_text())
PERSISTENT, POLICY, RAY = yaml.safe_load_all((CLUSTERS / "kuberay.yaml").read_text())
JOB = yaml.safe_load((CLUSTERS / "kuberay-job.yaml").read_text())
SLURM = (CLUSTERS / "slurm.sh").read_text()


def test_google_cloud() -> None:
    """Ray takes it; what holds for AWS holds here, as far as Google has it too."""
    config = prepared(GCP)
    validate_config(config)
    assert [*pins(config), *(line for line in launch(config) if "nfs4" not in line and "mounted" not in line
                             and "taken away" not in line)] == []  # fmt: skip
    assert any(
        " /store" in command and "mount -t nfs" in command for command in GCP["initialization_commands"]
    )
    types = config["available_node_types"]
    head, *workers = types.values()
    assert head["resources"] == {"CPU": 0}
    assert [worker["min_workers"] for worker in workers] == [0, 0]
    machines = {worker["node_config"]["machineType"] for worker in workers}
    assert len(machines) == 2
    for worker in workers:
        node = worker["node_config"]
        assert node["scheduling"]["provisioningModel"] == "SPOT"
        assert node["scheduling"]["onHostMaintenance"] == "TERMINATE"  # which machines with GPUs must say
        assert int(node["machineType"].rpartition("-")[2]) == worker["resources"]["CPU"]
        assert node["guestAccelerators"][0]["acceleratorCount"] == worker["resources"]["GPU"]
        assert node["serviceAccounts"] != head["node_config"]["serviceAccounts"]
    assert all("subnetwork" in each["node_config"]["networkInterfaces"][0] for each in types.values())
    assert not config["provider"]["cache_stopped_nodes"]


def pod(group: dict[str, Any]) -> dict[str, Any]:
    spec = group["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def test_kubernetes_cluster() -> None:
    head, (workers,) = RAY["spec"]["headGroupSpec"], RAY["spec"]["workerGroupSpecs"]
    assert RAY["spec"]["rayVersion"] == PINS["ray"]
    assert RAY["spec"]["authOptions"] == {"mode": "token"}
    assert (head["rayStartParams"]["num-cpus"], head["rayStartParams"]["num-gpus"]) == ("0", "0")
    assert (workers["minReplicas"], workers["replicas"], workers["maxReplicas"]) == (0, 0, 4)
    for group in (head, workers):
        assert pod(group)["containers"][0]["name"] == f"ray-{'head' if group is head else 'worker'}"
        for container in pod(group)["containers"]:
            assert {"name": "store", "mountPath": "/store"} in container["volumeMounts"]
            assert container["image"] == pod(head)["containers"][0]["image"]
            assert "memory" in container["resources"]["limits"]
        claims = [volume.get("persistentVolumeClaim") for volume in pod(group)["volumes"]]
        assert {"claimName": PERSISTENT["metadata"]["name"]} in claims
    assert PERSISTENT["spec"]["accessModes"] == ["ReadWriteMany"]
    mlflow = pod(head)["containers"][1]
    assert mlflow["command"][:4] == ["mlflow", "server", "--host", "127.0.0.1"]
    assert {"name": "MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "value": "false"} in mlflow["env"]
    assert [re.findall(r"(/store/\S+)", each) for each in mlflow["args"]] == [
        ["/store/mlflow/mlflow.db"],
        ["/store/mlflow/files"],
    ]
    (worker,) = pod(workers)["containers"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert f"touch {SPOT_NOTICE};" in worker["lifecycle"]["preStop"]["exec"]["command"][2]
    assert not pod(workers)["automountServiceAccountToken"]


def test_kubernetes_lets_in_nobody_but_its_own() -> None:
    name = RAY["metadata"]["name"]
    assert POLICY["spec"]["podSelector"]["matchLabels"] == {"ray.io/cluster": name}
    assert POLICY["spec"]["policyTypes"] == ["Ingress"]
    (rule,) = POLICY["spec"]["ingress"]
    allowed = [source["podSelector"]["matchLabels"] for source in rule["from"]]
    submitters = JOB["spec"]["submitterPodTemplate"]["metadata"]["labels"]
    assert allowed == [
        {"ray.io/cluster": name},
        submitters,
        {"app.kubernetes.io/name": "kuberay-operator"},
    ]


def test_kubernetes_job() -> None:
    assert JOB["spec"]["clusterSelector"] == {"ray.io/cluster": RAY["metadata"]["name"]}
    (container,) = JOB["spec"]["submitterPodTemplate"]["spec"]["containers"]
    environment = {each["name"]: each for each in container["env"]}
    assert environment["RAY_AUTH_MODE"]["value"] == "token"
    assert environment["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]["name"] == RAY["metadata"]["name"]
    mounts = pod(RAY["spec"]["headGroupSpec"])["containers"][0]["volumeMounts"]
    for path in re.findall(r"(/store|/sweep)/", JOB["spec"]["entrypoint"]):
        assert path in [mount["mountPath"] for mount in mounts]
    assert "--go-on" in JOB["spec"]["entrypoint"]


def test_slurm() -> None:
    """Its shell takes it, and what sbatch reads of it is what it says."""
    assert subprocess.run(["bash", "-n", CLUSTERS / "slurm.sh"], capture_output=True).stderr == b""
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", SLURM, re.M))
    assert options["signal"] == "B:USR1@300"  # to the script, as its trap expects it
    assert "trap 'again=yes; kill -INT $sweep' USR1" in SLURM
    assert {"requeue", "open-mode", "time"} <= options.keys()
    assert "RAY_AUTH_MODE=token" in SLURM
    assert "--dashboard-host=127.0.0.1" in SLURM


@pytest.mark.parametrize("file", ["gcp.yaml", "kuberay.yaml", "kuberay-job.yaml", "local.yaml"])
def test_every_placeholder_says_what_it_stands_for(file: str) -> None:
    found = re.findall(r"<FILL-IN: (?!…)[^>]*>", (CLUSTERS / file).read_text())
    assert found
    assert all(re.fullmatch(r"<FILL-IN: [a-z ]+, [^>]+>", each) for each in found)
