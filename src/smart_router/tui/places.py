"""Where the chat's files are: https://specifications.freedesktop.org/basedir-spec"""

import os
from pathlib import Path


def themes_folder() -> Path:
    return _base("XDG_CONFIG_HOME", ".config") / "smart-router" / "themes"


def names_file() -> Path:
    return _base("XDG_STATE_HOME", ".local/state") / "smart-router" / "chat-names.json"


def _base(variable: str, default: str) -> Path:
    """A relative path in the variable is to be ignored, says the specification."""
    given = Path(os.environ.get(variable, ""))
    return given if given.is_absolute() else Path.home() / default
