"""
Example queries: what the classifier learns from.

A file per use case, a list per language (BCP 47 tags such as `hi` or `hi-Latn`); an item is the text, or
`{attached: image|audio|video, text: …}` for a query that comes with a file.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from smart_router.classify import lexical
from smart_router.classify.base import Example
from smart_router.errors import ConfigurationError
from smart_router.registry import Registry
from smart_router.types import MEDIA_KINDS


def load_examples(registry: Registry) -> tuple[Example, ...]:
    """
    All examples of the registry's use cases, in the registry's order.

    Raises:
        ConfigurationError: a file is not of the form above; names the file and the item.
    """
    found: list[Example] = []
    for use_case in registry.use_cases.values():
        if path := registry.examples_path(use_case):
            found.extend(_read(path, use_case.id))
    return tuple(found)


def inputs_sha256(
    examples: Sequence[Example], use_cases: Sequence[str], encoder_sha256: str, recipe: Sequence[float]
) -> str:
    """The identity of a head: all that it is made from. Another hash means that it has to be trained again."""
    rows = [[e.use_case, e.language, e.attached, e.text] for e in examples]
    made_from = [list(recipe), lexical.VERSION, lexical.DIMENSIONS, encoder_sha256, list(use_cases), rows]
    return hashlib.sha256(json.dumps(made_from, ensure_ascii=True).encode()).hexdigest()


def _read(path: Path, use_case: str) -> Iterator[Example]:
    for language, items in _languages(path).items():
        if not isinstance(language, str):
            raise ConfigurationError(
                f"{path}: {language}: YAML does not read this as text; write the language in quotes"
            )
        if not isinstance(items, list):
            raise ConfigurationError(f"{path}: {language}: must be a list of queries")
        for i, item in enumerate(items):
            yield _example(item, use_case, language, f"{path}: {language}[{i}]")


def _languages(path: Path) -> dict[Any, Any]:
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - both loaders are the safe one
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise ConfigurationError(f"{path}: cannot be read: {' '.join(str(exc).split())}") from None
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path}: must be a mapping from language to a list of queries, such as `en: [...]`")
    return data


def _example(item: object, use_case: str, language: str, place: str) -> Example:
    if isinstance(item, str) and _is_text(item):
        return Example(item, use_case, language)
    if isinstance(item, dict) and set(item) == {"attached", "text"} and _is_text(item["text"]):
        if item["attached"] in MEDIA_KINDS:
            return Example(item["text"], use_case, language, item["attached"])
        raise ConfigurationError(f"{place}.attached: must be one of {', '.join(MEDIA_KINDS)}")
    raise ConfigurationError(f"{place}: must be a text, or {{attached: image|audio|video, text: …}}")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
