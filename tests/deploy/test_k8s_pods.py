"""deploy/k8s: how pods are confined, probed, begun and ended."""

import filecmp
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from dotenv import dotenv_values

from smart_router.cli.processes import free_port, running, smart_router
from smart_router.settings import Settings
from tests.deploy.kustomize import Object, pod_template
from tests.deploy.manifests import OVERLAYS, ROOT, WORKLOADS, of_kind

PODS = [(overlay, w["metadata"]["name"]) for overlay in OVERLAYS for w in of_kind(overlay, *WORKLOADS)]
DNS_CACHE_S = 30.0  # the longest that clusters keep an address by default

pods = pytest.mark.parametrize(("overlay", "name"), PODS)


def pod(overlay: str, name: str) -> Object:
    (found,) = [w for w in of_kind(overlay, *WORKLOADS) if w["metadata"]["name"] == name]
    template = pod_template(found)
    assert template is not None
    return dict(template["spec"])


def volumes(overlay: str, name: str) -> set[str]:
    (found,) = [w for w in of_kind(overlay, *WORKLOADS) if w["metadata"]["name"] == name]
    claims = found["spec"].get("volumeClaimTemplates", ())
    return {v["name"] for v in pod(overlay, name).get("volumes", ())} | {c["metadata"]["name"] for c in claims}


# confined


@pods
def test_a_pod_runs_as_nobody_special_and_cannot_ask_kubernetes(overlay: str, name: str) -> None:
    spec = pod(overlay, name)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False


@pods
def test_no_service_becomes_a_variable(overlay: str, name: str) -> None:
    """A Service called router would set ROUTER_PORT=tcp://…, one called vllm VLLM_PORT."""
    assert pod(overlay, name)["enableServiceLinks"] is False


@pods
def test_every_container_is_locked_in(overlay: str, name: str) -> None:
    spec = pod(overlay, name)
    for container in [*spec.get("initContainers", ()), *spec["containers"]]:
        locked = container["securityContext"]
        assert locked["allowPrivilegeEscalation"] is False
        assert locked["capabilities"] == {"drop": ["ALL"]}
        assert locked.get("readOnlyRootFilesystem") is (None if container["name"] == "vllm" else True)
        assert set(container["resources"]["requests"]) >= {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        assert {mount["name"] for mount in container.get("volumeMounts", ())} <= volumes(overlay, name)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_namespace_admits_nothing_less_confined(overlay: str) -> None:
    (namespace,) = of_kind(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("overlay", ["production", "cluster"])
def test_an_engine_has_a_gpu(overlay: str) -> None:
    engines = [spec for o, name in PODS if o == overlay and name.startswith("vllm-") for spec in [pod(o, name)]]
    assert len(engines) == 3
    assert all(spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1" for spec in engines)


# probed


@pods
def test_every_container_is_probed_at_a_port_that_it_has(overlay: str, name: str) -> None:
    for container in pod(overlay, name)["containers"]:
        ports = {port["name"] for port in container["ports"]}
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container[kind]
            assert "exec" in probe or probe["httpGet"]["port"] in ports


def test_the_router_lives_by_livez_and_is_ready_by_ready() -> None:
    (router,) = pod("production", "smart-router")["containers"]
    paths = {kind: router[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": "/ready"}
    startup = router["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 600, "training may take minutes"


# begun


def test_the_examples_are_copied_from_the_image_to_where_the_registry_wants_them(tmp_path: Path) -> None:
    spec = pod("production", "smart-router")
    (first,), (router,) = spec["initContainers"], spec["containers"]
    (target,) = [mount["mountPath"] for mount in first["volumeMounts"]]
    assert first["image"] == router["image"]
    assert {m["name"]: m["mountPath"] for m in router["volumeMounts"]}["examples"] == "/etc/smart-router/examples"
    program, *arguments = first["command"]
    assert program == "python"
    there = [argument.replace(f'"{target}"', repr(str(tmp_path / "examples"))) for argument in arguments]
    subprocess.run([sys.executable, *there], check=True, cwd=tmp_path, timeout=50)
    compared = filecmp.dircmp(tmp_path / "examples", ROOT / "config" / "examples")
    assert (compared.left_only, compared.right_only, compared.diff_files) == ([], [], [])


# ended


def test_the_router_has_time_to_drain() -> None:
    spec = pod("production", "smart-router")
    told = dotenv_values(ROOT / "deploy" / "k8s" / "base" / "settings.env")
    probe = spec["containers"][0]["readinessProbe"]
    assert int(told["DRAIN_DELAY"] or 0) >= probe["periodSeconds"]
    assert int(told["DRAIN_DELAY"] or 0) + int(told["DRAIN_TIMEOUT"] or 0) < spec["terminationGracePeriodSeconds"]


def drain() -> list[str]:
    command: list[str] = pod("production", "vllm-agent")["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    return command


def test_an_engine_outlasts_what_routers_remember_and_their_longest_answer() -> None:
    pause = float(drain()[2].split("time.sleep(")[1].split(")")[0])
    settings = Settings.model_fields
    assert pause > DNS_CACHE_S + settings["dns_interval"].default
    grace = pod("production", "vllm-agent")["terminationGracePeriodSeconds"]
    assert grace > pause + settings["open_timeout"].default


def test_an_engine_ends_when_its_last_answer_is_complete() -> None:
    port, answered = free_port(), threading.Event()
    slow = smart_router("simulate", "--model", "m", "--port", str(port), "--tokens-per-second", "10")
    body = b'{"model": "m", "max_tokens": 100, "ignore_eos": true, "messages": [{"role": "user", "content": "Go on"}]}'

    def ask(url: str) -> None:
        asked = urllib.request.Request(f"{url}/v1/chat/completions", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            answer.read()
        answered.set()

    with running(slow, port, path="/health") as url:
        asking = threading.Thread(target=ask, args=(url,))
        asking.start()
        _until_it_runs(url)
        script = drain()[2].replace("time.sleep(40)", "").replace(":8000/", f":{port}/")
        assert not answered.is_set()
        subprocess.run([sys.executable, "-c", script], check=True, timeout=40)
        assert answered.wait(5), "half the time that the answer takes"
        asking.join()


def _until_it_runs(url: str) -> None:
    for _ in range(1000):
        with urllib.request.urlopen(f"{url}/metrics", timeout=5) as page:
            lines = page.read().decode().splitlines()
        if any(line.startswith("vllm:num_requests_running") and float(line.split()[-1]) for line in lines):
            return
    raise AssertionError("the request never ran")
