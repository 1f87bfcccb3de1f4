"""
Is a regular expression one that a model server compiles without harm?

Only its form is read, in one pass: JavaScript's, Python's and Rust's are alike in it. What matters are repetitions:
those with counts, which a compiler writes out, and those without end of nothing but such a one, as in `(a+)+`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

MOST_OF_A_PATTERN = 1024  # characters
MOST_GROUPS_DEEP = 16
MOST_WRITTEN_OUT = 10_000  # characters and classes, with all counted repetitions written out

_BROKEN = "is not a regular expression: {}"
_TOO_LONG = f"must stand for at most {MOST_WRITTEN_OUT} characters, counted repetitions written out"
_AMBIGUOUS = "must not repeat what is itself nothing but a repetition, such as (a+)+; write a+"

_TOKEN = re.compile(
    r"(?P<plain>[^\\()\[{|*+?^$]+(?![*+?{]))"
    r"|(?P<atom>[^\\()\[{|*+?^$]|\\(?:[pP]\{[^}]*\}|u\{[0-9A-Fa-f]+\}|[\s\S]))"
    r"|(?P<set>\[\^?\]?(?:\\[\s\S]|[^\]\\])*+\])"
    r"|(?P<opens>\((?:\?(?:[:=!>]|<[=!]|P?<\w+>))?+)"
    r"|(?P<closes>\))"
    r"|(?P<or>\|)"
    r"|(?P<edge>[\^$])"
    r"|(?P<repeats>\*|\+|\?|\{(?P<least>[0-9]*)(?P<comma>,(?P<most>[0-9]*))?(?<=[0-9,])\})[?+]?"
    r"|(?P<brace>\{)"
)
_RANGE = re.compile(r"\\[\s\S]|([^\\])-([^\\])")


@dataclass(slots=True)
class _Group:
    """
    What is known of a group while its inside is read; the outermost is the pattern itself. *length*: of what it stands
    for at most; *loose*: one of its branches is nothing but a repetition without end.
    """

    length: int = 0
    loose: bool = False
    parts: int = 0  # of this branch
    last: int = 0  # the length of the part that a repetition would repeat; 0: there is none
    last_loose: bool = False
    last_endless: bool = False

    def add(self, length: int, *, loose: bool = False, parts: int = 1) -> None:
        self.length += length
        self.parts += parts
        self.last, self.last_loose, self.last_endless = length, loose, loose

    def repeat(self, times: int, *, endless: bool) -> str | None:
        if not self.last:
            return _BROKEN.format("nothing to repeat")
        if endless and self.last_loose:
            return _AMBIGUOUS
        self.length += self.last * (max(times, 1) - 1)
        self.last, self.last_endless = 0, endless or self.last_loose
        return None

    def end_branch(self) -> None:
        self.loose = self.loose or (self.parts == 1 and self.last_endless)
        self.parts = self.last = 0


@lru_cache(maxsize=1024)
def fault_of_pattern(pattern: str) -> str | None:
    """What is wrong with it, and what would be right; None: nothing."""
    if len(pattern) > MOST_OF_A_PATTERN:
        return f"must have at most {MOST_OF_A_PATTERN} characters"
    groups, place = [_Group()], 0
    while token := _TOKEN.match(pattern, place):
        if fault := _fault_of(token, groups):
            return fault
        if groups[-1].length > MOST_WRITTEN_OUT:
            return _TOO_LONG
        place = token.end()
    if place != len(pattern):
        return _BROKEN.format(f"it cannot be read from character {place + 1} on")
    return _BROKEN.format("a group is not closed") if len(groups) > 1 else None


def _fault_of(token: re.Match[str], groups: list[_Group]) -> str | None:
    """Takes one part of the pattern in."""
    group, kind = groups[-1], token.lastgroup
    if kind in ("plain", "atom", "brace"):
        group.add(len(token[0]) if kind == "plain" else 1, parts=len(token[0]))
    elif kind == "set":
        group.add(1)
        return _BROKEN.format("a range is the wrong way round") if _reversed(token[0]) else None
    elif kind == "opens":
        groups.append(_Group())
        return f"must not nest groups more than {MOST_GROUPS_DEEP} deep" if len(groups) > MOST_GROUPS_DEEP + 1 else None
    elif kind == "closes":
        return _close(groups)
    elif kind == "or":
        group.end_branch()
    elif kind == "edge":
        group.last = 0
    else:
        return _repeat(token, group)
    return None


def _close(groups: list[_Group]) -> str | None:
    inner = groups.pop()
    if not groups:
        return _BROKEN.format("a group is closed that was not opened")
    inner.end_branch()
    groups[-1].add(max(inner.length, 1), loose=inner.loose)
    return None


def _repeat(token: re.Match[str], group: _Group) -> str | None:
    least = int(token["least"] or 0)
    endless = token["repeats"] in "*+" or (token["comma"] is not None and not token["most"])
    most = least if endless or token["comma"] is None else int(token["most"])
    if most < least:
        return _BROKEN.format("a repetition's bounds are the wrong way round")
    return group.repeat(most, endless=endless)


def _reversed(characters: str) -> bool:
    return any(found[1] and found[1] > found[2] for found in _RANGE.finditer(characters[1:-1]))
