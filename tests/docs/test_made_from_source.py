"""What is made from the source is current, and the source says enough to make it of."""

import re
from typing import Any

import pytest
from pydantic import BaseModel
from scripts.docs.api_page import written
from scripts.docs.errors_page import NOT_FOR_CLIENTS, router_errors
from scripts.docs.markdown import first_paragraph, meanings
from scripts.docs.openapi import openapi
from scripts.docs.pages import PAGES
from scripts.docs.registry_page import PARTS
from scripts.docs.settings_tables import variables
from starlette.applications import Starlette

from smart_router import errors, registry
from smart_router.app import _with_cors
from smart_router.errors import RouterError
from smart_router.settings import Settings
from tests.docs.blocks import ROOT

ERRORS = list(router_errors())
REFERENCE = ROOT / "docs" / "reference"

pytestmark = pytest.mark.timeout(180)  # whoever comes first waits for the schema, of a whole router


@pytest.mark.parametrize("place", PAGES)
def test_a_page_is_current(place: str) -> None:
    assert (ROOT / place).read_text("utf-8") == PAGES[place](), "run `make docs`"


# errors


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_says_when_it_happens_and_what_to_do_then(error: type[RouterError]) -> None:
    assert first_paragraph(error), "its docstring says when"
    own = [parent for parent in error.__mro__ if "remedy" in vars(parent)]
    assert own[0] is error or own[0] is not RouterError, "it has a `remedy` that is not everybody's"
    assert error.remedy.endswith(".")
    assert not error.operator or error.operator[-1] in ".?"


def test_every_error_of_the_source_is_in_the_table() -> None:
    def below(error: type[RouterError]) -> set[type[RouterError]]:
        return {error}.union(
            *(below(one) for one in error.__subclasses__() if one.__module__.startswith("smart_router"))
        )

    assert below(RouterError) == set(ERRORS), "an error that clients see stands in errors.py"
    others = {e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)} - set(ERRORS)
    assert others == set(NOT_FOR_CLIENTS)
    page = (REFERENCE / "errors.md").read_text("utf-8")
    assert [error.code for error in ERRORS if f"\n## {error.code}\n" not in page] == []


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn = re.findall(r"[├└]── (\w+)", str(errors.__doc__))
    assert sorted(drawn) == sorted(error.__name__ for error in ERRORS if error is not RouterError)


# settings and registry


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_says_what_it_is_for(name: str) -> None:
    assert meanings(Settings).get(name, "").endswith("."), "write it below the field"
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert [variable for variable in variables(name) if f"`{variable}`" not in page] == []


def test_every_part_of_the_registry_is_on_its_page() -> None:
    ours = {found for found in vars(registry).values() if isinstance(found, type) and issubclass(found, BaseModel)}
    assert {part.__name__ for part, *_ in PARTS} == {p.__name__ for p in ours if p.model_fields}


@pytest.mark.parametrize("part", [part for part, *_ in PARTS], ids=lambda part: part.__name__)
def test_a_key_of_the_registry_says_what_it_is_for(part: type[BaseModel]) -> None:
    assert [name for name in part.model_fields if not meanings(part).get(name, "").endswith(".")] == []


# the API


def test_every_path_field_and_status_is_on_the_page() -> None:
    schema = openapi()
    page = written(schema)
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            entry = page.split(f"\n### {method.upper()} {path}\n")[1].split("\n##")[0]
            assert [status for status in operation["responses"] if f"\n| {status} |" not in entry] == []
            assert [p["name"] for p in operation.get("parameters", []) if f"`{p['name']}`" not in entry] == []
            for content in operation.get("requestBody", {}).get("content", {}).values():
                assert [f for f in content["schema"].get("properties", {}) if f"| `{f}` |" not in entry] == []
    for name, found in schema["components"]["schemas"].items():
        entry = page.split(f"\n### {name}\n")[1].split("\n##")[0]
        assert [field for field in found.get("properties", {}) if f"| `{field}` |" not in entry] == []


def test_every_header_that_a_browser_may_read_is_explained() -> None:
    with_cors: Any = _with_cors(Starlette(), Settings(_env_file=None, cors_origins=("https://a.example",)))
    exposed = with_cors.simple_headers["Access-Control-Expose-Headers"].split(", ")
    page = (REFERENCE / "api.md").read_text("utf-8")
    assert len(exposed) > 10
    assert [name for name in exposed if f"`{name}`" not in page] == []


def test_everything_that_the_python_client_offers_is_on_its_page() -> None:
    from smart_router import client

    page = (REFERENCE / "python-client.md").read_text("utf-8")
    assert sorted(re.findall(r"^::: smart_router\.client\.(\w+)$", page, re.MULTILINE)) == sorted(client.__all__)
