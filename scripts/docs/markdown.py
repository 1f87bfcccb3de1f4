"""Markdown from what is known of the source."""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

NONE = "-"
_INTRODUCTIONS = Path(__file__).parent / "introductions"


def introduction(page: str) -> str:
    """What stands first, written by hand."""
    return (_INTRODUCTIONS / f"{page}.md").read_text(encoding="utf-8")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(_cell(text) for text in row)} |\n" for row in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def meanings(owner: type) -> Mapping[str, str]:
    """What is written below each attribute of the class, by its name; nothing of the classes that it derives from."""
    body = _class(owner).body
    return {
        field.target.id: " ".join(said.value.value.split())
        for field, said in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant) and isinstance(said.value.value, str)
    }


def first_paragraph(owner: type) -> str:
    """Of its own docstring; empty where it has none."""
    return " ".join(inspect.cleandoc(vars(owner).get("__doc__") or "").partition("\n\n")[0].split())


def _class(owner: type) -> ast.ClassDef:
    (found,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(found, ast.ClassDef)
    return found
