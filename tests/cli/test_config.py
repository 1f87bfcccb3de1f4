"""`smart-router config`: what is wrong is found without starting anything, and where each value comes from is told."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from smart_router.access.keyfile import change_keys, new_entry
from smart_router.cli import app
from smart_router.cli.config_sources import HIDDEN
from smart_router.settings import Settings
from tests.e2e.routers import SHIPPED_REGISTRY


@pytest.fixture(autouse=True)
def registry(bare_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that is configured: the shipped models and use cases, with examples that are read in no time."""
    found = yaml.safe_load(SHIPPED_REGISTRY.read_text())
    for use_case in found["use_cases"]:
        use_case["examples"] = f"{use_case['id']}.yaml"
        texts = [f"{use_case['id']} {number}" for number in range(200)]
        (bare_environment / use_case["examples"]).write_text(yaml.safe_dump({"en": texts}))
    del found["conversations"], found["out_of_scope"]
    path = bare_environment / "registry.yaml"
    path.write_text(yaml.safe_dump(found, allow_unicode=True))
    monkeypatch.setenv("MODEL_REGISTRY", str(path))
    return path


@pytest.fixture
def folder(registry: Path) -> Path:
    return registry.parent


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["config", *arguments])


def checked(*arguments: str, code: int = 0) -> dict[str, Any]:
    found = run("check", "--json", *arguments)
    assert found.exit_code == code, found.output
    told: dict[str, Any] = json.loads(found.stdout)
    assert told["ok"] == (code == 0)
    return told


def problems(*arguments: str) -> dict[str, str]:
    """By place."""
    return {one["place"]: one["message"] for one in checked(*arguments, code=2)["problems"]}


def warnings(*arguments: str) -> dict[str, str]:
    return {one["place"]: one["message"] for one in checked(*arguments)["warnings"]}


def changed(path: Path, change: Any) -> None:
    found = yaml.safe_load(path.read_text())
    change(found)
    path.write_text(yaml.safe_dump(found, allow_unicode=True))


# check


def test_what_is_shipped_is_without_problems_or_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODEL_REGISTRY")
    found = run("check")
    assert (found.exit_code, found.stderr) == (0, "")
    assert found.stdout.endswith("6 use cases, 3 models; no problems\n")
    assert found.stdout.count("\n") == 1


def test_all_that_is_wrong_is_told_at_once_each_with_its_place(
    registry: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_TIMEOUT", "soon")
    monkeypatch.setenv("ROUTER_PORT", "70000")
    changed(registry, lambda found: found["use_cases"][2].update(models=["Qwen/Qwen9"]))
    found = problems()
    assert set(found) == {"SESSION_TIMEOUT", "ROUTER_PORT", f"{registry}: use_cases[2].models[0]"}
    assert "allowed is 1 to 65535" in found["ROUTER_PORT"]
    assert "is not among the models" in found[f"{registry}: use_cases[2].models[0]"]
    assert run("check").stdout.count("problem  ") == 3


def test_every_file_of_examples_is_looked_at(registry: Path, folder: Path) -> None:
    for place, name in enumerate(("one.yaml", "two.yaml")):
        (folder / name).write_text("en: [fine, 3]\n")
        changed(registry, lambda found, place=place, name=name: found["use_cases"][place].update(examples=name))
    assert set(problems()) == {f"{folder / name}: en[1]" for name in ("one.yaml", "two.yaml")}


def test_too_few_examples_are_a_problem_and_few_a_warning(registry: Path, folder: Path) -> None:
    few = folder / "few.yaml"
    changed(registry, lambda found: found["use_cases"][0].update(examples="few.yaml"))
    few.write_text("en: [one]\n")
    assert "at least 5 are needed" in "".join(problems().values())
    few.write_text("en: [one, two, three, four, five, six]\n")
    assert "few examples: agent has 6" in "".join(warnings().values())


def test_a_registry_that_is_not_there_is_one_problem(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_REGISTRY", "nowhere.yaml")
    assert "MODEL_REGISTRY" in problems()["nowhere.yaml"]


def test_the_file_of_keys_is_checked_against_the_registry(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "keys.json"
    monkeypatch.setenv("API_KEYS_FILE", str(path))
    assert "keys create" in problems()[str(path)]
    _, entry = new_entry("app", ["route"], use_cases=("nothing",))
    change_keys(path, lambda _: [entry])
    assert f"key {entry.id}: use_cases: no 'nothing' here; there are agent, " in problems()[str(path)]


def test_keys_that_others_can_read_or_that_are_not_there_are_warned_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "keys.json"
    monkeypatch.setenv("API_KEYS_FILE", str(path))
    change_keys(path, lambda _: [])
    assert "nobody can come in" in warnings()[str(path)]
    path.chmod(0o644)
    change_keys(path, lambda _: [new_entry("app", ["route"])[1]])
    assert "chmod 600" in warnings()[str(path)]


def test_without_a_key_a_host_that_others_reach_is_a_problem_unless_that_is_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert set(problems("--host", "0.0.0.0")) == {"API_KEY"}
    monkeypatch.setenv("ALLOW_OPEN", "true")
    assert set(warnings("--host", "0.0.0.0")) == {"ALLOW_OPEN"}
    monkeypatch.setenv("API_KEY", "a-key-that-nobody-guesses")
    assert warnings("--host", "0.0.0.0") == {}


def test_a_key_that_can_be_guessed_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "change-me")
    assert "can be guessed" in warnings()["API_KEY"]


def test_in_realtime_models_without_room_are_warned_of(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crowded(found: dict[str, Any]) -> None:
        for model in found["models"]:
            model |= {"group": "gpu0", "lifecycle": "sleep"}
        found["groups"] = {"gpu0": {"max_resident": 1}}

    changed(registry, crowded)
    said = warnings()["ROUTING_MODE"]
    assert "no room for Qwen/Qwen2.5-VL-7B-Instruct, Qwen/Qwen2-Audio-7B:" in said
    monkeypatch.setenv("ROUTING_MODE", "standard")
    assert warnings() == {}


@pytest.mark.parametrize(
    ("name", "value", "place", "said"),
    [
        ("REDIS_URL", "sentinel://a:26379", "REDIS_URL", "must look like"),
        ("LLM_CLASSIFIER_MODEL", "none", "LLM_CLASSIFIER_MODEL", "is not in the registry"),
        ("OTEL_TRACES_EXPORTER", "smoke", "OTEL_TRACES_EXPORTER", "must be among"),
    ],
)
def test_what_only_the_parts_know_is_found_too(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, place: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    assert said in problems()[place]


def test_several_workers_need_redis_and_servers_that_they_do_not_start(
    registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "share sessions through Redis" in problems("--workers", "2")["REDIS_URL"]
    monkeypatch.setenv("REDIS_URL", "redis://localhost")
    changed(registry, lambda found: found["models"][0].update(lifecycle="process"))
    assert "each of several workers" in problems("--workers", "2")[str(registry)]


def test_a_misspelt_name_in_dotenv_is_warned_of_and_those_of_others_are_not(folder: Path) -> None:
    (folder / ".env").write_text("SESION_TIMEOUT=60\nGRAFANA_ADMIN_PASSWORD=x\nROUTER_BIND=0.0.0.0\n")
    assert warnings() == {".env: SESION_TIMEOUT": "nothing reads it; is SESSION_TIMEOUT meant?"}


def test_two_ports_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_PORT", "8001")
    monkeypatch.setenv("PORT", "9000")
    assert "it is 8001 and PORT is 9000" in warnings()["ROUTER_PORT"]


# show


def shown(*names: str) -> list[tuple[object, str]]:
    found = run("show", "--json")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    by_name = {one["name"]: (one["value"], one["source"]) for one in (*told["settings"], *told["registry"])}
    return [by_name[name] for name in names]


def test_every_setting_is_shown_with_where_it_comes_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".env").write_text("MEMORY_TURNS=3\nSESSION_TIMEOUT=60\n")
    monkeypatch.setenv("session_timeout", "90")
    monkeypatch.setenv("PORT", "9000")
    assert shown("MEMORY_TURNS", "SESSION_TIMEOUT", "PORT", "MEDIA_HOSTS") == [
        (3, ".env"), (90, "environment"), (9000, "environment"), (["*"], "default"),
    ]  # fmt: skip
    assert len(json.loads(run("show", "--json").stdout)["settings"]) == len(Settings.model_fields)
    lines = run("show").stdout.splitlines()
    assert [line.split() for line in lines if line.startswith("HEADER_TIMEOUT")] == [
        ["HEADER_TIMEOUT", "default", "10"]
    ]


def test_secrets_are_not_shown(folder: Path, registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "sk-hidden-1")
    monkeypatch.setenv("REDIS_URL", "redis://:sk-hidden-2@localhost/0")
    monkeypatch.setenv("BACKEND", "sk-hidden-3")
    changed(registry, lambda found: found["models"][0].update(api_key="${BACKEND}"))
    assert shown("API_KEY", "REDIS_URL", "BACKEND") == [(HIDDEN, "environment")] * 3
    assert "hidden" not in run("show").output


def test_what_the_registry_names_is_shown_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_AGENT_URL", "http://a:1")
    assert shown("VLLM_AGENT_URL", "VLLM_AUDIO_URL") == [("http://a:1", "environment"), (None, "default")]


def test_settings_that_are_wrong_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_TURNS", "many")
    found = run("show")
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.startswith("smart-router: MEMORY_TURNS: ")
