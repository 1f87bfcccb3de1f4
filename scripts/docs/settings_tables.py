"""The tables of docs/configuration.md, one for each part of `Settings`."""

import inspect
import re
from collections.abc import Iterator

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from scripts.docs.fields import allowed, default
from scripts.docs.markdown import meanings, table
from smart_router.settings import Settings

_HEAD = ("variable", "default", "allowed", "what it bounds or chooses")
_UNITS = {"_timeout": "s", "_interval": "s", "_delay": "s", "_residency": "s", "_bytes": "bytes", "_ms": "ms"}


def settings_tables() -> str:
    said = meanings(Settings)
    parts = []
    for title, names in _parts():
        rows = [_row(name, said.get(name, "")) for name in names]
        parts.append(f"## {title}\n\n{table(_HEAD, rows)}")
    return "\n".join(parts)


def variables(name: str) -> list[str]:
    """The environment's names of a setting, the first one wins."""
    alias = Settings.model_fields[name].validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [name.upper()]


def _row(name: str, meaning: str) -> list[str]:
    field = Settings.model_fields[name]
    names = ", ".join(f"`{variable}`" for variable in variables(name))
    return [names, _default(name, field), _allowed(name, field), meaning]


def _default(name: str, field: FieldInfo) -> str:
    told = default(field)
    return f"{told} {_unit(name)}".strip() if told[:1].isdigit() and "iB" not in told else told


def _allowed(name: str, field: FieldInfo) -> str:
    said = allowed(field).removeprefix("number, ").removeprefix("whole number, ")
    said = said.replace("list", "list, with commas between", 1) if said.startswith("list") else said
    return f"{said}, whole" if _unit(name) == "s" and field.annotation is int else said


def _unit(name: str) -> str:
    return next((unit for end, unit in _UNITS.items() if name.endswith(end)), "")


def _parts() -> Iterator[tuple[str, list[str]]]:
    """A comment in a line of its own begins a part."""
    title, names = "", list[str]()
    for line in inspect.getsource(Settings).splitlines():
        if found := re.match(r" {4}# (.+)$", line):
            if names:
                yield title, names
            title, names = found[1], []
        elif (found := re.match(r" {4}([a-z_]+): ", line)) and found[1] in Settings.model_fields:
            names.append(found[1])
    yield title, names
