"""docs/terminal-chat.md tells what there is."""

import re
from dataclasses import fields
from pathlib import Path

from typer.main import get_command

from smart_router.cli import app
from smart_router.tui.commands import COMMANDS
from smart_router.tui.keys import EXPLAINED
from smart_router.tui.palette import Palette
from smart_router.tui.theme_files import read_file
from smart_router.tui.themes import THEMES

PAGE = Path(__file__).parents[2] / "docs" / "terminal-chat.md"
TEXT = PAGE.read_text()


def test_every_command_key_theme_and_option_is_told() -> None:
    commands = [f"/{command.name}" for command in COMMANDS]
    keys = [key for keys, _ in EXPLAINED for key in keys.split(", ")]
    themes = [f"`{theme.name}`" for theme in THEMES]
    options = [option for parameter in get_command(app).commands["chat"].params for option in parameter.opts]  # type: ignore[attr-defined]
    assert [name for name in (*commands, *keys, *themes, *options) if name not in TEXT] == []


def test_the_theme_there_is_one_with_every_colour(tmp_path: Path) -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "theme.yaml").write_text(example)
    found = read_file(tmp_path / "theme.yaml")
    assert found.troubles == ()
    assert [theme.name for theme in found.themes] == ["harbour"]
    assert all(f"  {field.name}: " in example for field in fields(Palette))


def test_the_pictures_there_are_there() -> None:
    assert [name for name in re.findall(r"\]\((images/[^)]+)\)", TEXT) if not (PAGE.parent / name).is_file()] == []
