"""Lines of JSON: which are read, and which one is wrong."""

from pathlib import Path
from typing import Any

import pytest

from smart_router.errors import ConfigurationError
from smart_router.evaluate.jsonl import has_sessions, load_lines, media_kind

FORM = 'a thing, such as {"a": …}'


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "things.jsonl"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def load(folder: Path, text: str | bytes) -> tuple[Any, ...]:
    return load_lines(write(folder, text), lambda row: row["a"], FORM)


def test_every_line_is_read_in_order_but_empty_ones(tmp_path: Path) -> None:
    assert load(tmp_path, '\n{"a": 1}\n  \n{"a": "दो"}\r\n{"a": 3}') == (1, "दो", 3)


def test_a_file_may_hold_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, "") == load(tmp_path, "\n\n") == ()


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x7f"])
def test_only_a_line_feed_ends_a_line(tmp_path: Path, separator: str) -> None:
    assert load(tmp_path, f'{{"a": "x{separator}y"}}') == (f"x{separator}y",)


@pytest.mark.parametrize("line", ["{", "5", "null", "[1]", '"a"', '{"b": 1}', "NaN", "{'a': 1}"])
def test_a_wrong_line_is_named_and_told_how_it_should_look(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path, f'{{"a": 1}}\n\n{line}\n{{"a": 2}}\n')
    assert str(refused.value).startswith(f"{tmp_path / 'things.jsonl'}:3: not {FORM}: ")


DEEP = '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"


def test_a_line_that_is_nested_too_deeply_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"things\.jsonl:1: not a thing"):
        load(tmp_path, DEEP)


def test_a_first_line_that_is_nested_too_deeply_is_no_conversation(tmp_path: Path) -> None:
    assert has_sessions(write(tmp_path, DEEP)) is False


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b'{"a": "\xff"}'])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "none.jsonl" if content is None else write(tmp_path, content)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_lines(path, lambda row: row, FORM)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_lines(tmp_path, lambda row: row, FORM)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"turns": []}', True),
        ('\n\n{"source": "x", "turns": []}\n{"text": "Hi"}', True),
        ('{"text": "turns", "label": "agent"}', False),
        ('{"text": "Hi"}\n{"turns": []}', False),
        ("", False),
        ("\n", False),
        ("{", False),
        ("5", False),
        ("null", False),
        (b"\xff", False),
    ],
)
def test_the_first_line_says_whether_a_file_holds_conversations(tmp_path: Path, text: str | bytes, found: bool) -> None:
    assert has_sessions(write(tmp_path, text)) is found


def test_a_file_that_is_not_there_holds_none(tmp_path: Path) -> None:
    assert has_sessions(tmp_path / "none.jsonl") is False


@pytest.mark.parametrize("value", [None, "image", "audio", "video"])
def test_a_kind_of_media_is_one_of_three_or_none(value: object) -> None:
    assert media_kind(value) == value


@pytest.mark.parametrize("value", ["text", "Image", "", 0, False, ["image"], {"a": 1}])
def test_any_other_kind_is_refused_with_those_that_there_are(value: object) -> None:
    with pytest.raises(ValueError, match="modality must be null or one of image, audio, video"):
        media_kind(value)
