"""`.env.example` has every variable that anything here reads, with its default and a word on it, and no other."""

import re
from pathlib import Path

import pytest
import yaml

from smart_router.cli.configured import configured
from smart_router.settings import Settings, load_settings
from tests.deploy.composed import EXAMPLE, FILES, ROOT, VARIABLE, example

SET, SHOWN = example()
REGISTRY = ROOT / "config" / "model_registry.yaml"
OF_THE_REGISTRY = set(re.findall(r"\$\{([A-Z_]+)", str(yaml.safe_load(REGISTRY.read_text()))))
SETTINGS = {name.upper() for name in Settings.model_fields}
OF_COMPOSE = {match["name"] for file in FILES.values() for match in VARIABLE.finditer(file.read_text())}
READ_BY_COMPOSE_ITSELF = {"COMPOSE_PROFILES"}
OF_COMMANDS = {"PORT", "SMART_ROUTER_URL"}
# In compose the servers have names, and Redis is there.
OTHER_DEFAULT_IN_COMPOSE = {"REDIS_URL", "VLLM_AGENT_URL", "VLLM_MULTIMODAL_URL", "VLLM_AUDIO_URL"}


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_setting_is_there(name: str) -> None:
    assert name in SET.keys() | SHOWN.keys(), f"add {name} to .env.example, with a comment and its default"


@pytest.mark.parametrize("name", sorted(OF_THE_REGISTRY | OF_COMPOSE))
def test_a_variable_of_the_registry_or_of_a_compose_file_is_there(name: str) -> None:
    assert name in SET.keys() | SHOWN.keys(), f"add {name} to .env.example, with a comment and its default"


def test_nothing_is_there_that_nobody_reads() -> None:
    read = SETTINGS | OF_THE_REGISTRY | OF_COMPOSE | READ_BY_COMPOSE_ITSELF | OF_COMMANDS
    assert (SET.keys() | SHOWN.keys()) - read == set()


def test_nothing_is_there_twice() -> None:
    names = re.findall(r"^#?([A-Z][A-Z0-9_]*)=", EXAMPLE.read_text(), re.MULTILINE)
    assert sorted(names) == sorted(set(names))


def test_every_group_of_variables_has_a_comment_above() -> None:
    lines = EXAMPLE.read_text().splitlines()
    firsts = [
        (above, line) for above, line in zip(["", *lines], lines, strict=False) if _sets(line) and not _sets(above)
    ]
    assert [line for above, line in firsts if not re.match(r"# \w", above)] == []


def _sets(line: str) -> bool:
    return re.match(r"#?[A-Z][A-Z0-9_]*=", line) is not None


def test_no_comment_stands_behind_a_value() -> None:
    assert [line for line in (SET | SHOWN).values() if "#" in line] == []


def test_it_holds_no_secret() -> None:
    assert {name: SET[name] for name in ("API_KEY", "GRAFANA_ADMIN_PASSWORD", "HF_TOKEN")} == {
        "API_KEY": "",
        "GRAFANA_ADMIN_PASSWORD": "",
        "HF_TOKEN": "",
    }


@pytest.mark.usefixtures("bare_environment")
def test_the_defaults_shown_are_those_of_the_router() -> None:
    Path(".env").write_text("".join(f"{name}={value}\n" for name, value in (SHOWN | SET).items()))
    assert load_settings() == Settings(_env_file=None)


@pytest.mark.usefixtures("bare_environment")
def test_the_defaults_shown_are_those_of_the_registry() -> None:
    plain = configured()[0]
    Path(".env").write_text("".join(f"{name}={value}\n" for name, value in SHOWN.items()))
    assert configured()[0].models == plain.models


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_the_defaults_shown_are_those_of_the_compose_file(file: Path) -> None:
    found = {(match["name"], match["other"]) for match in VARIABLE.finditer(file.read_text()) if match["other"]}
    known = {name for name in SHOWN if name not in OTHER_DEFAULT_IN_COMPOSE}
    assert {(name, other) for name, other in found if name in known and SHOWN[name] != other} == set()
