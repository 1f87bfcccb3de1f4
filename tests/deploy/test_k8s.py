"""deploy/k8s: every object is what Kubernetes takes, and what one of them names is there in another."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml
from pytest import MonkeyPatch

from smart_router.registry import load_registry
from smart_router.sessions.places import read_cluster, read_sentinels
from smart_router.settings import Settings, load_settings
from tests.deploy.kustomize import Object, config_references, containers, pod_template
from tests.deploy.manifests import (
    K8S,
    OVERLAYS,
    ROOT,
    WORKLOADS,
    config_data,
    objects,
    of_kind,
    one,
    pod_labels,
    secrets,
    selected,
)

VERSIONS = ("1.30", "1.34")  # of Kubernetes
CUSTOM = ("ServiceMonitor", "PrometheusRule")  # see test_k8s_metrics.py
OPTIONAL_SECRETS = {"hugging-face"}

overlays = pytest.mark.parametrize("overlay", OVERLAYS)


def name(found: Object) -> str:
    return f"{found['kind']}/{found['metadata']['name']}"


# the build and the schemas


@overlays
def test_our_build_is_kustomizes(overlay: str) -> None:
    folder = str(K8S / "overlays" / overlay)
    commands = (["kustomize", "build", folder], ["kubectl", "kustomize", folder])
    command = next((command for command in commands if shutil.which(command[0])), None)
    if command is None:
        pytest.skip("neither kustomize nor kubectl is on the PATH")
    built = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    theirs = {name(found): found for found in yaml.safe_load_all(built)}
    assert {name(found): found for found in objects(overlay)} == theirs


@overlays
@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_fits_the_schema_of_kubernetes(overlay: str, version: str) -> None:
    for found in objects(overlay):
        if found["kind"] not in CUSTOM:
            kubernetes_validate.validate(found, version, strict=True)


def test_the_objects_and_paths_that_the_document_shows_are_right() -> None:
    text = (ROOT / "docs" / "kubernetes.md").read_text()
    shown = [
        found for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) for found in yaml.safe_load_all(block)
    ]
    assert shown
    for found in shown:
        kubernetes_validate.validate(found, VERSIONS[-1], strict=True)
    assert [path for path in re.findall(r"deploy/k8s/[\w./-]*\w", text) if not (ROOT / path).exists()] == []


def test_names_are_unique_and_in_the_overlays_namespace() -> None:
    for overlay in OVERLAYS:
        (namespace,) = of_kind(overlay, "Namespace")
        others = [found for found in objects(overlay) if found["kind"] != "Namespace"]
        assert {found["metadata"]["namespace"] for found in others} == {namespace["metadata"]["name"]}
        assert len({name(found) for found in others}) == len(others)


def test_what_is_generated_is_up_to_date() -> None:
    command = [sys.executable, str(K8S / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


# selectors and ports


@overlays
def test_a_workload_selects_its_own_pods_alone(overlay: str) -> None:
    for workload in of_kind(overlay, *WORKLOADS):
        assert selected(overlay, workload["spec"]["selector"]) == [workload], name(workload)


@overlays
def test_a_service_selects_one_workload_and_its_ports_exist_there(overlay: str) -> None:
    for service in of_kind(overlay, "Service"):
        (workload,) = selected(overlay, service["spec"]["selector"])
        ports = {port["name"] for container in containers(workload) for port in container.get("ports", ())}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
        if workload["kind"] == "StatefulSet":
            assert workload["spec"]["serviceName"] == service["metadata"]["name"]
            assert service["spec"]["clusterIP"] == "None"


@overlays
def test_budgets_and_autoscalers_have_a_target(overlay: str) -> None:
    for budget in of_kind(overlay, "PodDisruptionBudget"):
        assert len(selected(overlay, budget["spec"]["selector"])) == 1, name(budget)
    (autoscaler,) = of_kind(overlay, "HorizontalPodAutoscaler")
    target = autoscaler["spec"]["scaleTargetRef"]
    assert "replicas" not in one(overlay, target["kind"], target["name"])["spec"], "two would count"
    assert autoscaler["spec"]["minReplicas"] >= 2


# configuration


@overlays
def test_every_config_map_and_secret_key_that_is_named_exists(overlay: str) -> None:
    configs = {found["metadata"]["name"]: found["data"] for found in of_kind(overlay, "ConfigMap")}
    for workload in of_kind(overlay, *WORKLOADS):
        assert {reference["name"] for reference in config_references(workload)} <= set(configs)
        for container in containers(workload):
            for variable in container.get("env", ()):
                if wanted := variable.get("valueFrom", {}).get("secretKeyRef"):
                    known = wanted["key"] in secrets(overlay).get(wanted["name"], {})
                    assert known or (wanted["optional"] and wanted["name"] in OPTIONAL_SECRETS), name(workload)
    template = pod_template(one(overlay, "Deployment", "smart-router"))
    assert template is not None
    (router,) = template["spec"]["containers"]
    files = [mount["subPath"] for mount in router["volumeMounts"] if "subPath" in mount]
    assert files == list(config_data(overlay, "smart-router-registry"))


@overlays
def test_the_router_takes_every_setting(overlay: str, bare_environment: Path, monkeypatch: MonkeyPatch) -> None:
    said = config_data(overlay, "smart-router-settings")
    read_by_the_registry = set(re.findall(r"\$\{(\w+)", config_data(overlay, "smart-router-registry").popitem()[1]))
    assert set(said) - {field.upper() for field in Settings.model_fields} - read_by_the_registry == set()
    for variable, value in (said | secrets(overlay)["smart-router"]).items():
        monkeypatch.setenv(variable, value)
    load_settings()


@overlays
def test_the_registry_loads_and_its_endpoints_are_services_of_ready_engines(overlay: str, tmp_path: Path) -> None:
    ((file, text),) = config_data(overlay, "smart-router-registry").items()
    (tmp_path / file).write_text(text)
    shutil.copytree(ROOT / "config" / "examples", tmp_path / "examples")
    registry = load_registry(tmp_path / file, config_data(overlay, "smart-router-settings"))
    for model in registry.models.values():
        (endpoint,) = model.endpoints
        host, _, port = endpoint.removeprefix("dns+http://").partition(":")
        service = one(overlay, "Service", host)["spec"]
        assert service["clusterIP"] == "None"
        assert service["publishNotReadyAddresses"] is False
        assert {p["port"] for p in service["ports"]} == {int(port)}
        (engine,) = selected(overlay, service["selector"])
        (container,) = containers(engine)
        assert model.served_name in container["args"], name(engine)
        assert pod_labels(engine)["app.kubernetes.io/component"] == "engine"
        if overlay != "cpu-demo":
            assert f"--max-num-seqs={model.max_in_flight}" in container["args"]


@overlays
def test_the_redis_url_names_the_pods_that_there_are(overlay: str) -> None:
    said = secrets(overlay)
    url, password = said["smart-router"]["REDIS_URL"], said["redis"]["REDIS_PASSWORD"]
    assert len(password) == 48
    places = read_cluster(url) if url.startswith("cluster:") else read_sentinels(url).sentinels
    assert {(place.host, place.port, place.greeting[0]) for place in places} == {
        (f"{pod}.{workload['spec']['serviceName']}", port["containerPort"], ("AUTH", password))
        for workload in of_kind(overlay, "StatefulSet")
        if workload["metadata"]["name"] in ("sentinel", "redis-cluster")
        for pod in (f"{workload['metadata']['name']}-{i}" for i in range(workload["spec"]["replicas"]))
        for port in containers(workload)[0]["ports"]
        if port["name"] != "bus"
    }


@overlays
def test_redis_is_told_all_its_peers(overlay: str) -> None:
    for workload in of_kind(overlay, "StatefulSet"):
        said = {v["name"]: v.get("value", "") for v in containers(workload)[0]["env"]}
        for variable, of in (("REDIS", "redis"), ("SENTINELS", "sentinel"), ("NODES", "redis-cluster")):
            if variable in said:
                count = one(overlay, "StatefulSet", of)["spec"]["replicas"]
                port = 26379 if of == "sentinel" else 6379
                assert said[variable].split() == [f"{of}-{i}.{of}:{port}" for i in range(count)]


@overlays
def test_images_have_the_versions_that_the_rest_of_the_project_has(overlay: str) -> None:
    version = re.findall(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[0]
    vllm = re.findall(r"^ARG VLLM_VERSION=(.+)", (ROOT / "docker" / "vllm-audio.Dockerfile").read_text(), re.MULTILINE)[
        0
    ]
    known = {
        f"smart-router:{version}",
        "redis:7-alpine",
        f"vllm/vllm-openai:v{vllm}",
        f"smart-router-vllm-audio:v{vllm}",
    }
    assert {c["image"] for found in of_kind(overlay, *WORKLOADS) for c in containers(found)} <= known
