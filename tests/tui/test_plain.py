import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.tui.plain import one_line, plain


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x1b]0;title\x07", "]0;title"),
        ("\x9b2J", "2J"),
        ("over\rwritten", "overwritten"),
        ("a\r\nb", "a\nb"),
        ("a\u2028b\u2029c\x0bd\x0ce\x85f", "a\nb\nc\nd\ne\nf"),
        ("\u202egpj.exe", "gpj.exe"),
        ("back\x08space\x7f", "backspace"),
        ("half \ud83d a pair", "half ? a pair"),
        ("नमस्ते\u200d 👩\u200d💻\tok\n", "नमस्ते\u200d 👩\u200d💻\tok\n"),
    ],
)
def test_what_a_terminal_obeys_is_taken_out_and_the_rest_stays(said: str, shown: str) -> None:
    assert plain(said) == shown


@given(st.text(st.characters(codec=None), max_size=60))
def test_nothing_is_left_that_a_terminal_obeys(said: str) -> None:
    left = plain(said)
    assert not any((ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 for c in left)
    assert plain(left) == left
    left.encode()


def test_a_line_has_no_line_ends_and_an_end() -> None:
    assert one_line("a\n\n b\tc") == "a b c"
    assert one_line("x" * 300, 10) == "x" * 9 + "…"
