"""
Themes of one's own, from YAML or TOML.

    dark: true            # false: what is missing comes from the theme paper, else from night
    name: harbour         # default: the file's name
    colors:
      background: "#101820"
      primary: orange
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml
from textual.color import Color, ColorParseError
from textual.theme import Theme

from smart_router.tui.palette import Palette, hard_to_read, theme
from smart_router.tui.themes import NIGHT, PAPER, THEMES

SUFFIXES = (".yaml", ".yml", ".toml")
MOST_BYTES = 65_536
MOST_FILES = 100
_KEYS = ("name", "dark", "colors")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}")
_COLOURS = tuple(field.name for field in fields(Palette))


class BadTheme(Exception):
    """The message names the file and the place, and says what would be right."""


@dataclass(frozen=True)
class Found:
    themes: tuple[Theme, ...]
    troubles: tuple[str, ...]  # of files that are no themes, or whose colours are hard to read


def read_folder(folder: Path) -> Found:
    """Every theme of *folder*; a folder that is not there has none."""
    themes: list[Theme] = []
    troubles: list[str] = []
    for path in sorted(path for path in _entries(folder) if path.suffix.lower() in SUFFIXES)[:MOST_FILES]:
        try:
            found = read_file(path)
        except BadTheme as exc:
            troubles.append(str(exc))
            continue
        themes.extend(found.themes)
        troubles.extend(found.troubles)
    return Found(tuple(themes), tuple(troubles))


def read_file(path: Path) -> Found:
    """
    The theme of one file, and what is hard to read in it.

    Raises:
        BadTheme: it cannot be read, or a value in it is wrong.
    """
    given = _checked(path, _parsed(path))
    dark = given.get("dark", True)
    palette = replace(NIGHT if dark else PAPER, **given.get("colors", {}))
    made = theme(given.get("name", path.stem), palette, dark=dark)
    faint = hard_to_read(palette)
    trouble = f"{path}: hard to read, as text wants 4.5:1: {', '.join(faint[:3])}" if faint else ""
    return Found((made,), (trouble,) if trouble else ())


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _parsed(path: Path) -> Any:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadTheme(f"{path}: has more than {MOST_BYTES} bytes; a theme is a few lines of YAML or TOML")
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text) if path.suffix.lower() == ".toml" else yaml.safe_load(text)
    except OSError as exc:
        raise BadTheme(f"{path}: cannot be read: {exc.strerror or exc}") from None
    except UnicodeDecodeError:
        raise BadTheme(f"{path}: is not text in UTF-8") from None
    except (yaml.YAMLError, tomllib.TOMLDecodeError, RecursionError) as exc:
        kind = "TOML" if path.suffix.lower() == ".toml" else "YAML"
        raise BadTheme(f"{path}: is not {kind}: {' '.join(str(exc).split())}") from None


def _checked(path: Path, given: Any) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise BadTheme(f"{path}: must have keys, of {', '.join(_KEYS)}")
    for key in given:
        if key not in _KEYS:
            raise BadTheme(f"{path}: {key}: is no key of a theme; they are {', '.join(_KEYS)}")
    if not isinstance(given.get("dark", True), bool):
        raise BadTheme(f"{path}: dark: must be true or false")
    _check_name(path, given.get("name", path.stem))
    _check_colours(path, given.get("colors", {}))
    return given


def _check_name(path: Path, name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadTheme(f"{path}: name: must be 1 to 40 letters, digits, spaces and . _ -")
    if name in {ours.name for ours in THEMES}:
        raise BadTheme(f"{path}: name: {name} is built in; choose another name")


def _check_colours(path: Path, colours: object) -> None:
    if not isinstance(colours, dict):
        raise BadTheme(f"{path}: colors: must have keys, of {', '.join(_COLOURS)}")
    for name, value in colours.items():
        if name not in _COLOURS:
            raise BadTheme(f"{path}: colors.{name}: is no colour of a theme; they are {', '.join(_COLOURS)}")
        if not _is_colour(value):
            raise BadTheme(f'{path}: colors.{name}: {value!r} is no colour; write "#rrggbb" or a name such as orange')


def _is_colour(value: object) -> bool:
    try:
        return isinstance(value, str) and Color.parse(value).a == 1 and Color.parse(value).ansi is None
    except ColorParseError:
        return False
