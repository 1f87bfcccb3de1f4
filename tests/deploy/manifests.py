"""What deploy/k8s makes, read by several tests."""

import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.kustomize import Object, build, pod_template

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("production", "cluster", "cpu-demo")
WORKLOADS = ("Deployment", "StatefulSet")


@cache
def objects(overlay: str) -> list[Object]:
    return build(K8S / "overlays" / overlay)


def of_kind(overlay: str, *kinds: str) -> list[Object]:
    return [found for found in objects(overlay) if found["kind"] in kinds]


def one(overlay: str, kind: str, name: str) -> Object:
    (found,) = [found for found in of_kind(overlay, kind) if found["metadata"]["name"] == name]
    return found


def config_data(overlay: str, prefix: str) -> dict[str, str]:
    """Of the ConfigMap whose name is *prefix* and a hash."""
    (found,) = [c for c in of_kind(overlay, "ConfigMap") if c["metadata"]["name"].rpartition("-")[0] == prefix]
    return dict(found["data"])


def pod_labels(workload: Object) -> dict[str, str]:
    template = pod_template(workload)
    assert template is not None
    return dict(template["metadata"]["labels"])


def selects(labels: Mapping[str, str], selector: Mapping[str, Any]) -> bool:
    """By `matchLabels` or, as Services do it, by the labels themselves; an empty selector selects everything."""
    assert "matchExpressions" not in selector
    wanted: Mapping[str, str] = selector.get("matchLabels", selector)
    return wanted.items() <= labels.items()


def selected(overlay: str, selector: Mapping[str, Any]) -> list[Object]:
    return [found for found in of_kind(overlay, *WORKLOADS) if selects(pod_labels(found), selector)]


@cache
def secrets(overlay: str) -> dict[str, dict[str, str]]:
    """Name -> data, of the Secrets that secrets.sh prints for *overlay*."""
    command = [str(K8S / "secrets.sh"), overlay, "a-namespace"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
    return {found["metadata"]["name"]: found["stringData"] for found in yaml.safe_load_all(printed)}
