"""The compose files: valid, and in agreement with settings, registry, repository and one another."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from smart_router.cli.configured import configured
from smart_router.settings import Settings, load_settings
from tests.deploy.composed import EXAMPLE, FILES, ROOT, SECRETS, composed, docker_compose_config, example, services
from tests.deploy.test_env_example import OF_THE_REGISTRY, SETTINGS

# The specification's own, as docker-compose 1.29 carries it (Apache-2.0).
SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
MODES = sorted(FILES)
PROFILES = ("gpu", "cpu-demo")

by_mode = pytest.mark.parametrize("mode", MODES)


# the files by themselves


@by_mode
def test_a_file_keeps_to_the_compose_specification(mode: str) -> None:
    jsonschema.validate(composed(mode), SCHEMA, jsonschema.Draft201909Validator)


@by_mode
def test_the_schema_notices_a_misspelt_key(mode: str) -> None:
    broken = composed(mode)
    broken["services"]["router"]["dependson"] = ["redis"]
    with pytest.raises(jsonschema.ValidationError, match="dependson"):
        jsonschema.validate(broken, SCHEMA, jsonschema.Draft201909Validator)


@by_mode
def test_docker_compose_gives_the_router_what_we_read(mode: str) -> None:
    done = docker_compose_config(mode, SECRETS)
    assert done.returncode == 0, done.stderr
    theirs, ours = yaml.safe_load(done.stdout)["services"], services(mode)
    assert theirs.keys() == ours.keys()
    assert theirs["router"]["environment"] == ours["router"]["environment"]
    assert [theirs[name].get("command") for name in theirs] == [ours[name].get("command") for name in theirs]


@by_mode
@pytest.mark.parametrize("missing", SECRETS)
def test_without_a_secret_nothing_starts_and_the_message_names_it(mode: str, missing: str) -> None:
    done = docker_compose_config(mode, {name: value for name, value in SECRETS.items() if name != missing})
    assert done.returncode != 0
    assert f"set {missing} in .env" in done.stderr


@by_mode
def test_the_documented_first_steps_make_secrets_that_nobody_can_guess(mode: str, tmp_path: Path) -> None:
    shutil.copy(EXAMPLE, tmp_path)
    steps = re.findall(r"^\$ ((?:cp|sed) .*)$", (ROOT / "docs" / "deployment.md").read_text(), re.MULTILINE)
    subprocess.run(["sh", "-ec", "\n".join(steps)], cwd=tmp_path, check=True)
    done = docker_compose_config(mode, {}, tmp_path / ".env")
    assert done.returncode == 0, done.stderr
    found = yaml.safe_load(done.stdout)["services"]
    assert re.fullmatch(r"[0-9a-f]{64}", found["router"]["environment"]["API_KEY"])
    assert re.fullmatch(r"[0-9a-f]{32}", found["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"])


def test_the_two_files_differ_in_the_mode_and_in_sleep_alone() -> None:
    standard, realtime = (_without_sleep(mode) for mode in ("standard", "realtime"))
    modes = [file["services"]["router"]["environment"].pop("ROUTING_MODE") for file in (standard, realtime)]
    assert modes == ["standard", "realtime"]
    assert standard == realtime


def _without_sleep(mode: str) -> dict[str, Any]:
    file: dict[str, Any] = json.loads(json.dumps(composed(mode)))  # what YAML's anchors share is taken apart
    del file["x-vllm"]
    for name in ("vllm-agent", "vllm-multimodal", "vllm-audio"):
        service = file["services"][name]
        service["command"] = [part for part in service["command"] if part != "--enable-sleep-mode"]
        service["environment"].pop("VLLM_SERVER_DEV_MODE", None)
    return file


# settings and registry


def router(mode: str, **variables: str) -> dict[str, str]:
    found: dict[str, str] = services(mode, **variables)["router"]["environment"]
    return found


@by_mode
def test_every_variable_the_router_gets_is_one_it_reads(mode: str) -> None:
    assert router(mode).keys() - SETTINGS - OF_THE_REGISTRY == set()


@by_mode
@pytest.mark.parametrize("name", sorted(SETTINGS | OF_THE_REGISTRY))
def test_the_router_is_given(mode: str, name: str) -> None:
    assert name in router(mode), f"add `{name}: ${{{name}:-}}` to the router's environment in {FILES[mode].name}"


@by_mode
@pytest.mark.parametrize("name", sorted(SETTINGS - {"ROUTING_MODE", "ROUTER_PORT", "MODEL_REGISTRY", "CLASSIFIER_DIR"}))
def test_a_setting_of_the_env_file_reaches_the_router(mode: str, name: str) -> None:
    assert router(mode, **{name: "something"})[name] == "something"


@by_mode
def test_the_router_starts_with_what_it_gets(
    mode: str, bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in router(mode).items():
        monkeypatch.setenv(name, value)
    found = load_settings()
    assert (found.routing_mode, found.router_port) == (mode, 8001)
    changed = found.model_dump(exclude_unset=True).keys()
    assert changed == {"routing_mode", "router_port", "model_registry", "classifier_dir", "redis_url", "api_key"}


@by_mode
@pytest.mark.parametrize("profile", PROFILES)
def test_every_endpoint_of_the_registry_is_a_server_of_the_profile(
    mode: str, profile: str, bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in router(mode).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MODEL_REGISTRY", str(ROOT / "config" / "model_registry.yaml"))
    endpoints = [urlsplit(model.endpoints[0]) for model in configured()[0].models.values()]
    assert {endpoint.hostname for endpoint in endpoints} <= names_on("models", mode, profile)
    assert {endpoint.port for endpoint in endpoints} == {8000}


def names_on(network: str, mode: str, profile: str) -> set[str]:
    """The names under which the services of *profile* are reached there, aliases included."""
    running = {name: s for name, s in services(mode).items() if profile in s.get("profiles", [profile])}
    joined = {name: s["networks"] for name, s in running.items() if network in s.get("networks", ())}
    aliases = {alias for nets in joined.values() if isinstance(nets, dict) for alias in nets[network]["aliases"]}
    return joined.keys() | aliases


@by_mode
def test_the_servers_know_their_models_by_the_names_the_router_uses(mode: str) -> None:
    found = services(mode, VLLM_AGENT_MODEL="mine")
    assert router(mode, VLLM_AGENT_MODEL="mine")["VLLM_AGENT_MODEL"] == "mine"
    assert "--served-model-name=mine" in found["vllm-agent"]["command"]
    assert found["demo-agent"]["entrypoint"][-2:] == ["--model", "mine"]


@by_mode
@pytest.mark.usefixtures("bare_environment")
def test_without_names_the_servers_and_the_registry_mean_the_same(mode: str) -> None:
    found, models = services(mode), {model.served_name for model in configured()[0].models.values()}
    served = {line.partition("=")[2] for s in found.values() for line in s.get("command", []) if "served-model" in line}
    simulated = {s["entrypoint"][-1] for name, s in found.items() if name.startswith("demo-")}
    assert served == simulated == models


@by_mode
def test_one_address_can_stand_for_every_group(mode: str) -> None:
    own = {"VLLM_AGENT_URL": "", "VLLM_MULTIMODAL_URL": "", "VLLM_AUDIO_URL": "", "VLLM_BASE_URL": "http://one:8000"}
    assert {name: router(mode, **own)[name] for name in own} == own


# the repository


@by_mode
def test_every_mounted_file_is_in_the_repository(mode: str) -> None:
    mounts = [volume for s in services(mode).values() for volume in s.get("volumes", []) if volume.startswith(".")]
    assert {volume.split(":")[0] for volume in mounts} >= {"./prometheus/alerts.yml", "./grafana/dashboards"}
    assert [volume for volume in mounts if not (ROOT / volume.split(":")[0]).exists()] == []
    assert [volume for volume in mounts if not volume.endswith(":ro")] == [], (
        "containers do not write to the repository"
    )


@by_mode
def test_the_registry_is_where_the_router_is_told_to_look(mode: str) -> None:
    found = services(mode)["router"]
    assert "./config:/config:ro" in found["volumes"]
    assert found["environment"]["MODEL_REGISTRY"] == "/config/model_registry.yaml"


@by_mode
def test_every_image_that_is_built_has_its_dockerfile(mode: str) -> None:
    builds = [s["build"] for s in services(mode).values() if "build" in s]
    assert [build for build in builds if not (ROOT / build["context"] / build["dockerfile"]).is_file()] == []


@by_mode
def test_every_image_that_is_pulled_has_a_version(mode: str) -> None:
    pulled = [s["image"] for s in services(mode).values() if "build" not in s]
    assert [image for image in pulled if ":" not in image or image.endswith(":latest")] == []


def test_the_example_is_found_beside_the_compose_files() -> None:
    assert {path.parent for path in (*FILES.values(), EXAMPLE)} == {ROOT}
    assert example()[0]["COMPOSE_PROFILES"] == "gpu"
    assert Settings(_env_file=EXAMPLE) == Settings(_env_file=None)
