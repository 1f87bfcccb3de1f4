"""Text of others, made safe for a terminal: it can say anything, and do nothing."""

import re

# C0 but tab and newline, DEL, C1: what terminals obey. And what turns the reading direction of text that follows.
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")
_LINE_ENDS = re.compile(r"\r\n|[\u2028\u2029\x85\x0b\x0c]")


def plain(text: str) -> str:
    """
    *text* without characters that a terminal obeys; every kind of line end becomes a newline.

    Lone surrogates, which no terminal can be sent, become question marks.
    """
    text = _OBEYED.sub("", _LINE_ENDS.sub("\n", text))
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def one_line(text: str, most: int = 200) -> str:
    """The same in one line of at most *most* characters."""
    line = " ".join(plain(text).split())
    return line if len(line) <= most else line[: most - 1] + "…"
