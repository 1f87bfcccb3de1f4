"""Parts of a registry as the documents show them, put into the shipped one."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from smart_router.registry import RegistryFile, load_registry
from tests.docs.blocks import ROOT

SHIPPED = ROOT / "config"
_LISTS = ("models", "use_cases")


def is_stanza(data: object) -> bool:
    return isinstance(data, dict) and bool(data) and set(data) <= set(RegistryFile.model_fields)


def load_with(stanza: Mapping[str, Any], folder: Path) -> None:
    """
    The shipped registry with *stanza* in it is read as a router would. Files that it names need not be there.

    Raises:
        ConfigurationError
    """
    registry = yaml.safe_load((SHIPPED / "model_registry.yaml").read_text("utf-8"))
    for key, value in stanza.items():
        registry[key] = _with_entries(registry[key], value) if key in _LISTS else _merged(registry.get(key), value)
    for name in [use_case.get("examples") for use_case in registry["use_cases"]]:
        if name and not (SHIPPED / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
    for shipped in (SHIPPED / "examples").iterdir():
        (folder / "examples").mkdir(exist_ok=True)
        (folder / "examples" / shipped.name).symlink_to(shipped)
    text = yaml.safe_dump(registry, allow_unicode=True)
    path = folder / "model_registry.yaml"
    path.write_text(text, encoding="utf-8")
    load_registry(path, dict.fromkeys(re.findall(r"\$\{([A-Z_]+)\}", text), "given"))


def _with_entries(there: list[dict[str, Any]], given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By their ids: what is there already is changed, what is new follows."""
    found = {entry["id"]: entry for entry in there}
    for entry in given:
        found[entry["id"]] = _merged(found.get(entry["id"]), entry)
    return list(found.values())


def _merged(there: Any, given: Any) -> Any:
    if not isinstance(there, dict) or not isinstance(given, dict):
        return given
    return there | {key: _merged(there.get(key), value) for key, value in given.items()}
