"""Kinds that a family has not itself: `module:Class` names one that Python can import."""

import importlib
import re
from typing import Any

from smart_router.errors import ConfigurationError

_FORM = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def named_by(setting: str, name: str) -> Any:
    """
    What the *setting* names, as `imported`.

    Raises:
        ConfigurationError: likewise; it begins with the setting.
    """
    try:
        return imported(name)
    except ConfigurationError as exc:
        raise ConfigurationError(f"{setting}: {exc}") from exc


def imported(name: str) -> Any:
    """
    What *name* names as `module:Class`; it can be called.

    Raises:
        ConfigurationError: it is not of that form, cannot be imported, or is nothing that can be called.
    """
    if not _FORM.fullmatch(name):
        raise ConfigurationError(f"{name!r} is not of the form module:Class, such as acme.servers:AcmeUpstream")
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except Exception as exc:  # whatever a module of others does while it is imported
        raise ConfigurationError(
            f"{name}: the module cannot be imported ({type(exc).__name__}: {exc}); install it, or"
            " name its folder in PYTHONPATH"
        ) from exc
    if not callable(found):
        raise ConfigurationError(f"{name}: the module has no class or function of that name")
    return found
