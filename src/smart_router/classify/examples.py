"""
Example queries: what the classifier learns from.

A file per use case, a list per language (BCP 47 tags such as `hi` or `hi-Latn`), or below the language a list per
writer; an item is the text, or `{attached: image|audio|video, text: …}` for a query that comes with a file.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from smart_router.classify.base import Example
from smart_router.errors import ConfigurationError
from smart_router.registry import Registry
from smart_router.types import MEDIA_KINDS

NOWHERE = ""  # the use case of what is out of scope


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


def load_out_of_scope(registry: Registry) -> tuple[Example, ...]:
    """
    The registry's examples of texts that belong nowhere, in the same form; their use case is empty.

    Raises:
        ConfigurationError: as `load_examples`.
    """
    return tuple(_read(registry.beside(registry.out_of_scope), NOWHERE)) if registry.out_of_scope else ()


def _read(path: Path, use_case: str) -> Iterator[Example]:
    for language, writer, items, place in lists_of(path):
        for i, item in enumerate(items):
            yield example(item, use_case, f"{path}: {place}[{i}]", language, writer)


def lists_of(path: Path) -> Iterator[tuple[str, str, list[Any], str]]:
    """
    Language, writer (empty if not said), list and its place, of a file of one list per language and writer.

    Raises:
        ConfigurationError: it is not of that form.
    """
    for language, found in _mapping(path).items():
        if not isinstance(language, str):
            raise ConfigurationError(
                f"{path}: {language}: YAML does not read this as text; write the language in quotes"
            )
        for writer, items in (found if isinstance(found, dict) else {"": found}).items():
            place = f"{language}.{writer}" if writer else language
            if not isinstance(items, list):
                raise ConfigurationError(f"{path}: {place}: must be a list, or a list per writer")
            yield language, str(writer), items, place


def _mapping(path: Path) -> dict[Any, Any]:
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - both loaders are the safe one
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise ConfigurationError(f"{path}: cannot be read: {' '.join(str(exc).split())}") from None
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path}: must be a mapping from language to a list, such as `en: [...]`")
    return data


def example(item: object, use_case: str, place: str, language: str, writer: str) -> Example:
    """
    Raises:
        ConfigurationError: *item* is neither a text nor a text with what is attached to it.
    """
    if isinstance(item, str) and _is_text(item):
        return Example(item, use_case, language, None, writer)
    if isinstance(item, dict) and set(item) == {"attached", "text"} and _is_text(item["text"]):
        if item["attached"] in MEDIA_KINDS:
            return Example(item["text"], use_case, language, item["attached"], writer)
        raise ConfigurationError(f"{place}.attached: must be one of {', '.join(MEDIA_KINDS)}")
    raise ConfigurationError(f"{place}: must be a text, or {{attached: image|audio|video, text: …}}")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
