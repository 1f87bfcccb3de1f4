"""The fenced blocks of the documents, and what is to be done with each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *(ROOT / name for name in ("benchmarks/README.md", "benchmarks/results.md", "loadtests/README.md")),
    ]
)
RUN = ("python", "console", "bash", "sh", "js")
READ = ("json", "yaml")
DRAWN = ("", "text")  # drawings, and what programs print
TESTED_ELSEWHERE = {"promql": "docs/operations.md"}  # by tests/test_alerts.py
_FENCE = re.compile(r"^( *)(`{3,}|~{3,})([^\s`]*)[^`\n]*\n(.*?)^ *\2`*[ \t]*$", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: (\S.*?) -->")


@dataclass(frozen=True)
class Block:
    """*not_run* is why, where the line before the fence says so."""

    page: str
    line: int
    language: str
    text: str
    not_run: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_in(text: str, page: str) -> Iterator[Block]:
    for found in _FENCE.finditer(text):
        margin, _, language, inside = found.groups()
        before = text[: found.start()].rstrip("\n").rpartition("\n")[2].strip()
        said = _NOT_RUN.fullmatch(before)
        inside = re.sub(f"^ {{0,{len(margin)}}}", "", inside, flags=re.MULTILINE)
        yield Block(page, text.count("\n", 0, found.start()) + 1, language, inside, said[1] if said else None)


BLOCKS = tuple(
    block for path in PAGES for block in blocks_in(path.read_text("utf-8"), path.relative_to(ROOT).as_posix())
)


def to_run(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages and block.not_run is None]


def commands(block: Block) -> str:
    """What somebody would type: the lines after `$ `, each with what it goes on with after a backslash or a quote."""
    typed = list[str]()
    goes_on = False
    for line in block.text.splitlines():
        if line.startswith("$ "):
            typed.append(line[2:])
        elif goes_on:
            typed[-1] += f"\n{line}"
        else:
            continue
        goes_on = _goes_on(typed[-1])
    return "\n".join(typed) + "\n"


def _goes_on(command: str) -> bool:
    """A quote is open, or the line ends with a backslash; an apostrophe in a comment opens none."""
    bare = re.sub(r"\\\n", " ", command)
    bare = re.sub(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*\"""", "", bare)
    bare = re.sub(r"(?:^|\s)#.*", "", bare)
    return bare.endswith("\\") or "'" in bare or '"' in bare
