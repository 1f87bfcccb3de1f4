"""The compose files and `.env.example` as docker compose would read them."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.needs import missing

ROOT = Path(__file__).parents[2]
FILES = {"standard": ROOT / "docker-compose.yml", "realtime": ROOT / "docker-compose-realtime.yml"}
EXAMPLE = ROOT / ".env.example"
SECRETS = {"API_KEY": "a-key", "GRAFANA_ADMIN_PASSWORD": "a-password"}

VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<how>:?[-?])(?P<other>[^}]*))?\}")
_LINE = re.compile(r"^(?P<off>#?)(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)$")


def example() -> tuple[dict[str, str], dict[str, str]]:
    """What `.env.example` sets, and what it shows as defaults behind a #."""
    found = [match for line in EXAMPLE.read_text().splitlines() if (match := _LINE.match(line))]
    return (
        {match["name"]: match["value"] for match in found if not match["off"]},
        {match["name"]: match["value"] for match in found if match["off"]},
    )


def composed(mode: str, **variables: str) -> dict[str, Any]:
    """The file of *mode* with `.env.example`, the secrets and *variables* put in."""
    result: dict[str, Any] = _filled(_loaded(mode), example()[0] | SECRETS | variables)
    return result


@cache
def _loaded(mode: str) -> Any:
    return yaml.safe_load(FILES[mode].read_text())


def services(mode: str, **variables: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = composed(mode, **variables)["services"]
    return found


def _filled(node: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _filled(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, variables) for value in node]
    return VARIABLE.sub(lambda match: _value(match, variables), node) if isinstance(node, str) else node


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    """`:-` and `:?` look at empty values as at missing ones, `-` does not."""
    how, value = match["how"] or "", variables.get(match["name"])
    if value or (value is not None and not how.startswith(":")):
        return value
    assert "?" not in how, f"{match['name']}: {match['other']}"
    return match["other"] or ""


def docker_compose_config(
    mode: str, variables: Mapping[str, str], env_file: Path = EXAMPLE
) -> subprocess.CompletedProcess[str]:
    """What docker compose, of whichever age is there, makes of the file of *mode*. It needs no daemon."""
    command = [*_program(), "--env-file", str(env_file), "-f", str(FILES[mode]), "config"]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nowhere"} | dict(variables)
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def _program() -> list[str]:
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if shutil.which("docker") and not subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        return ["docker", "compose"]
    return missing("no docker compose: install it, or run scripts/install_servers.sh as root")
