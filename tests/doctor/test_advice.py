"""What is advised can be followed: sections, settings and commands that it names are there; every refusal has some."""

import ast
import re
from pathlib import Path

import pytest
import typer

import smart_router.errors
from smart_router.cli import app
from smart_router.doctor import CHECKS, refusals
from smart_router.errors import RouterError

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src/smart_router/doctor").rglob("*.py"))
NODES = (node for path in SOURCES for node in ast.walk(ast.parse(path.read_text())))
TEXT = "\n".join(node.value for node in NODES if isinstance(node, ast.Constant) and isinstance(node.value, str))
KNOWN = "".join((ROOT / name).read_text() for name in ("docs/configuration.md", "docs/security.md", "README.md"))
FOREIGN = {"SSL_CERT_FILE"}  # of Python's ssl module
# Not of requests such as doctor's: sessions, orders to models, and what is looked at by name.
ELSEWHERE = {
    "bad_configuration", "bad_request", "lifecycle_failed", "method_not_allowed", "model_busy", "model_conflict",
    "model_kept", "model_not_found", "no_room", "not_found", "not_managed", "store_unavailable", "unknown_session",
    "unknown_use_case", "unsupported_media_type",
}  # fmt: skip


@pytest.mark.parametrize("place", sorted(set(re.findall(r"docs/[\w-]+\.md(?:#[\w-]+)?", TEXT))))
def test_a_section_of_the_documents_is_there(place: str) -> None:
    name, _, anchor = place.partition("#")
    headings = re.findall(r"^#+ (.*)$", (ROOT / name).read_text(), re.M)
    assert not anchor or anchor in {slug(heading) for heading in headings}


def slug(heading: str) -> str:
    """As GitHub and mkdocs make it."""
    return re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\b[A-Z]{3,}(?:_[A-Z]+)+\b", TEXT))))
def test_a_setting_is_documented(name: str) -> None:
    assert name in KNOWN or name in FOREIGN


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`smart-router ([a-z ]+)", TEXT))))
def test_a_command_is_there(command: str) -> None:
    found: typer.core.TyperGroup | None = typer.main.get_command(app)  # type: ignore[assignment]
    for word in command.split():
        commands = getattr(found, "commands", None)
        if not commands:
            break  # an argument
        assert word in commands
        found = commands[word]


def codes(kind: type[RouterError] = RouterError) -> set[str]:
    return {kind.code}.union(
        *(codes(below) for below in kind.__subclasses__() if below.__module__ == smart_router.errors.__name__)
    )


def test_every_refusal_has_its_advice() -> None:
    assert codes() == refusals.BY_CODE.keys() | ELSEWHERE
    assert refusals.BY_CODE.keys() & ELSEWHERE == set()


def test_a_check_comes_after_those_that_it_needs() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    for place, check in enumerate(CHECKS):
        assert set(check.needs) <= set(names[:place])
        assert check.advice


@pytest.mark.parametrize("name", [check.name for check in CHECKS])
def test_every_check_is_explained(name: str) -> None:
    assert f"\n### {name}\n" in (ROOT / "docs/doctor.md").read_text()
