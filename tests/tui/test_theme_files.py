from pathlib import Path

import pytest
from textual.color import Color

from smart_router.tui.palette import READABLE, contrast, hard_to_read
from smart_router.tui.theme_files import BadTheme, read_file, read_folder
from smart_router.tui.themes import EMBER, MIST, NIGHT, PAPER, THEMES


def a_file(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_contrast_is_that_of_wcag() -> None:
    assert contrast(Color.parse("#000"), Color.parse("#fff")) == pytest.approx(21)
    assert contrast(Color.parse("#767676"), Color.parse("#fff")) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("palette", [NIGHT, EMBER, PAPER, MIST])
def test_everything_in_the_themes_that_come_with_it_can_be_read(palette: object) -> None:
    assert hard_to_read(palette) == []  # type: ignore[arg-type]
    assert READABLE == 4.5


def test_two_are_dark_two_are_light_and_one_is_the_terminals() -> None:
    assert [theme.dark for theme in THEMES if not theme.ansi] == [True, True, False, False]
    assert [theme.name for theme in THEMES if theme.ansi] == ["terminal"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mine.yaml", 'name: harbour\ndark: false\ncolors:\n  background: "#ffffff"\n  primary: navy\n'),
        ("mine.toml", 'name = "harbour"\ndark = false\n[colors]\nbackground = "#ffffff"\nprimary = "navy"\n'),
    ],
)
def test_a_theme_is_read_and_what_is_missing_is_ours(tmp_path: Path, name: str, text: str) -> None:
    found = read_file(a_file(tmp_path, text, name))
    [theme] = found.themes
    assert (theme.name, theme.dark, theme.background, theme.primary) == ("harbour", False, "#ffffff", "navy")
    assert theme.foreground == PAPER.foreground
    assert found.troubles == ()


def test_a_theme_without_a_name_has_that_of_its_file(tmp_path: Path) -> None:
    assert read_file(a_file(tmp_path, "dark: true")).themes[0].name == "mine"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a list", r"mine.yaml: must have keys, of name, dark, colors"),
        ("colours: {}", r"mine.yaml: colours: is no key of a theme; they are name, dark, colors"),
        ("dark: very", r"mine.yaml: dark: must be true or false"),
        ("name: night", r"mine.yaml: name: night is built in; choose another name"),
        ('name: "a\\eb"', r"mine.yaml: name: must be 1 to 40 letters"),
        ("name: 7", r"mine.yaml: name: must be 1 to 40 letters"),
        ("colors: red", r"mine.yaml: colors: must have keys, of foreground"),
        ("colors: {backgroud: red}", r"mine.yaml: colors.backgroud: is no colour of a theme; they are foreground"),
        ('colors: {primary: "#12"}', r'mine.yaml: colors.primary: \'#12\' is no colour; write "#rrggbb"'),
        ("colors: {primary: 123456}", r"mine.yaml: colors.primary: 123456 is no colour"),
        ("colors: {primary: ansi_red}", r"mine.yaml: colors.primary: 'ansi_red' is no colour"),
        ('colors: {primary: "#ff000080"}', r"mine.yaml: colors.primary: '#ff000080' is no colour"),
        ("colors: {primary: [", r"mine.yaml: is not YAML: .*line 1, column 20"),
        ("x: " + "y" * 70_000, r"mine.yaml: has more than 65536 bytes"),
    ],
)
def test_a_wrong_file_names_the_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadTheme, match=says):
        read_file(a_file(tmp_path, text))


def test_a_file_that_is_not_there_or_no_text_or_no_toml_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadTheme, match=r"gone.yaml: cannot be read: No such file"):
        read_file(tmp_path / "gone.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadTheme, match=r"bytes.yaml: is not text"):
        read_file(tmp_path / "bytes.yaml")
    with pytest.raises(BadTheme, match=r"mine.toml: is not TOML: .*line 1"):
        read_file(a_file(tmp_path, "a = \n", "mine.toml"))


def test_colours_that_are_hard_to_read_are_told(tmp_path: Path) -> None:
    [trouble] = read_file(a_file(tmp_path, 'colors: {foreground: "#444444"}')).troubles
    assert "hard to read" in trouble
    assert "foreground on background is 1." in trouble


def test_a_folder_gives_its_themes_and_what_is_wrong_with_others(tmp_path: Path) -> None:
    a_file(tmp_path, "dark: true", "b.yaml")
    a_file(tmp_path, "dark = false", "a.toml")
    a_file(tmp_path, "dark: perhaps", "c.yml")
    a_file(tmp_path, "no theme", "README.md")
    found = read_folder(tmp_path)
    assert [theme.name for theme in found.themes] == ["a", "b"]
    assert [trouble.partition(": ")[2] for trouble in found.troubles] == ["dark: must be true or false"]
    assert read_folder(tmp_path / "nowhere").themes == ()
