"""Tables, plain columns, sparklines: how commands show things."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from smart_router.cli import shown
from smart_router.cli.shown import Sheet, Styled, sparkline

from .terminal import typed

SHEET = Sheet(
    ("Use case", "Model", "Last"), [("agent", "a", 3), ("tts", None, "two words")], numbers=("Last",)
)  # fmt: skip


def drawn(sheet: Sheet, width: int = 60, **options: object) -> str:
    console = Console(file=StringIO(), width=width, force_terminal=True, **options)  # type: ignore[arg-type]
    console.print(sheet.drawn())
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_plain_columns_have_names_of_one_word_and_a_dash_where_there_is_nothing() -> None:
    assert SHEET.plain() == ["USE_CASE  MODEL  LAST", "agent     a      3", "tts       -      two words"]


def test_a_table_holds_the_same() -> None:
    for text in ("Use case", "agent", "two words"):
        assert text in drawn(SHEET)


def test_a_long_id_is_folded_and_not_cut_off() -> None:
    id = "organisation/" + "long-name-" * 6
    said = drawn(Sheet(("Model", "State", "Requests"), [(id, "awake", 12)], numbers=("Requests",)), width=50)
    assert "…" not in said
    assert "".join(said.split()).count("long-name-") >= 5


def test_marks_in_what_is_shown_are_not_interpreted() -> None:
    assert "[red]x[/red] :smile:" in drawn(Sheet(("A", "B"), [("[red]x[/red] :smile:", "")]))


def test_no_colour_where_nobody_wants_any(monkeypatch: pytest.MonkeyPatch) -> None:
    sheet = Sheet(("State",), [(Styled("awake", "green"),)])
    assert "\x1b[32m" in drawn(sheet, color_system="standard")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in drawn(sheet, color_system="standard")


@pytest.mark.parametrize(
    ("values", "width", "drawn"),
    [
        ([0, 1, 2, 4], 4, "▁▃▅█"),
        ([0, 0], 3, " ▁▁"),
        ([1, None, 1], 3, "█ █"),
        ([9, 9, 1, 2], 2, "▅█"),
        ([], 2, "  "),
        ([1], 0, ""),
    ],
)
def test_a_sparkline_goes_from_zero_to_the_largest(values: list[float | None], width: int, drawn: str) -> None:
    assert sparkline(values, width) == drawn


def test_what_a_model_says_does_not_steer_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = "\x1b[2Ja\x07b\x9b31mc\td\ne"
    assert shown.harmless(hostile) == hostile
    monkeypatch.setattr(shown, "on_terminal", lambda: True)
    assert shown.harmless(hostile) == "[2Jab31mc\td\ne"


def test_there_is_no_bar_where_nobody_sees_it(capsys: pytest.CaptureFixture[str]) -> None:
    with shown.Bar("judging") as bar:
        bar(1, 2)
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_there_is_a_bar_until_all_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    class AtTerminal(StringIO):
        def isatty(self) -> bool:
            return True

    seen = AtTerminal()
    monkeypatch.setattr("sys.stderr", seen)
    monkeypatch.setenv("TERM", "xterm")
    with shown.Bar("judging") as bar:
        assert seen.getvalue() == ""
        bar(1, 2)
        assert "judging" in seen.getvalue()
        bar(2, 2)
        before = seen.getvalue()
        assert before.endswith("\x1b[2K")  # it is gone
    assert seen.getvalue() == before


def test_an_output_without_unicode_is_no_reason_to_fail(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    made = typed("keys", "create", "--name", "दुकान", "--file", str(path))
    listed = typed("keys", "list", "--file", str(path), PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert (made.returncode, listed.returncode, listed.stderr) == (0, 0, "")
    assert listed.stdout.endswith("?????\n")
