"""Where each value of the configuration comes from: the environment, `.env`, or the default."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from dotenv import dotenv_values
from pydantic import AliasChoices, SecretStr

from smart_router.registry import NEVER_SHOWN, default_registry_path
from smart_router.settings import DOTENV, Settings, environment, load_settings

HIDDEN = "********"
ENVIRONMENT, DEFAULT = "environment", "default"
_NAMED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)")
_SECRET = re.compile(r"KEY|TOKEN|PASSWORD|SECRET")


class Shown(NamedTuple):
    """*value* is text, a number, a list of texts, or None; a secret is hidden. *source*: environment, .env, default."""

    name: str
    value: object
    source: str


def settings_shown() -> list[Shown]:
    """
    All settings, in their order.

    Raises:
        ConfigurationError
    """
    settings, sources = load_settings(), _sources()
    return [_shown(field, getattr(settings, field), sources) for field in Settings.model_fields]


def variables_shown() -> list[Shown]:
    """
    What the registry names as `${NAME}`, in order; None where the default there holds.

    Raises:
        ConfigurationError
    """
    sources = _sources()
    found: dict[str, Shown] = {}
    for place, name in _named(_read(registry_path())):
        secret = bool(NEVER_SHOWN.search(place) or _SECRET.search(name))
        source = next((source for source, values in sources.items() if values.get(name)), DEFAULT)
        value = sources[source][name] if source != DEFAULT else None
        if name not in found or secret:
            found[name] = Shown(name, HIDDEN if secret and value else value, source)
    return list(found.values())


def names_of(field: str) -> tuple[str, ...]:
    """The variables that set a field, the one that counts first."""
    alias = Settings.model_fields[field].validation_alias
    return tuple(map(str, alias.choices)) if isinstance(alias, AliasChoices) else (field.upper(),)


def registry_path() -> Path:
    """Also where other settings are wrong."""
    named = environment().get("MODEL_REGISTRY")
    return Path(named) if named else default_registry_path()


def dotenv() -> Mapping[str, str]:
    return {name: value for name, value in dotenv_values(DOTENV).items() if value is not None}


def _sources() -> dict[str, Mapping[str, str]]:
    """The first that has a value wins."""
    return {ENVIRONMENT: os.environ, DOTENV: dotenv()}


def _shown(field: str, value: object, sources: Mapping[str, Mapping[str, str]]) -> Shown:
    for source, values in sources.items():
        given = {name.upper() for name, text in values.items() if text}
        for name in names_of(field):
            if name in given:
                return Shown(name, _plain(value), source)
    return Shown(names_of(field)[0], _plain(value), DEFAULT)


def _plain(value: object) -> object:
    if isinstance(value, SecretStr):
        return HIDDEN
    if isinstance(value, tuple):
        return [str(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None  # `config check` says what is wrong


def _named(node: Any, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _named(value, f"{place}.{key}")
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from _named(value, f"{place}[{i}]")
    elif isinstance(node, str):
        yield from ((place, name) for name in _NAMED.findall(node))
