"""
Lists as GitHub reads them, written as Python-Markdown does: what goes on with an item is indented by four columns a
level, and a blank line stands before a list.
"""

import re

from markdown_it import MarkdownIt

INDENT = 4
_COMMONMARK = MarkdownIt("commonmark").enable("table")
_MARKER = re.compile(r" *(?:[-*+]|\d+[.)]) *")


def indented_by_four(text: str) -> str:
    """*text* with its lists indented anew; everything else as it is."""
    lines = text.splitlines()
    depths, columns, tops = [0] * len(lines), [0] * len(lines), set[int]()
    for token in _COMMONMARK.parse(text):
        if token.map is None:
            continue
        first, end = token.map
        if token.type == "list_item_open":
            marker = _MARKER.match(lines[first])
            for number in range(first + 1, end):
                depths[number] += 1
                columns[number] = marker.end() if marker else 0
        elif token.type in ("bullet_list_open", "ordered_list_open") and token.level == 0:
            tops.add(first)
    found: list[str] = []
    for number, (line, depth, column) in enumerate(zip(lines, depths, columns, strict=True)):
        if number in tops and found and found[-1].strip():
            found.append("")
        found.append(" " * INDENT * depth + line[min(column, _margin(line)) :] if depth and line.strip() else line)
    return "\n".join(found) + "\n"


def _margin(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
