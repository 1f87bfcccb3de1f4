"""What the package promises as a whole: both clients alike, typed, and light to import."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import smart_router
from smart_router import client
from smart_router.api.wire import RouteRequest
from smart_router.client import AsyncClient, AsyncConversation, AsyncRouteStream, Client, Conversation, RouteStream
from smart_router.client.calls import Fields

FOLDER = Path(client.__file__).parent
# Clients over HTTP; the parser of events is the one that the server reads its model servers with.
OURS = {"smart_router", "smart_router.decide", "smart_router.decide.sse"}
HEAVY = {
    "fastapi", "starlette", "uvicorn", "uvloop", "pydantic", "numpy", "onnxruntime", "tokenizers", "redis", "structlog",
    "prometheus_client", "yaml", "typer", "rich", "aiohttp",
}  # fmt: skip
WITHOUT_NETWORK = ("httpx2", "asyncio", "time", "random", "socket", "logging")
DECIDING = ("answers", "attachment", "calls", "errors", "reading", "retrying", "streaming", "thread")


def test_importing_it_imports_nothing_of_the_server_and_nothing_heavy() -> None:
    code = "import sys, smart_router.client; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    ours = {name for name in loaded if name.startswith("smart_router") and not name.startswith("smart_router.client")}
    assert ours == OURS
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("name", DECIDING)
def test_what_is_decided_is_decided_without_a_network_a_clock_or_chance(name: str) -> None:
    tree = ast.parse((FOLDER / f"{name}.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported & set(WITHOUT_NETWORK) == set()


@pytest.mark.parametrize(
    ("waits", "asyncs"), [(Client, AsyncClient), (RouteStream, AsyncRouteStream), (Conversation, AsyncConversation)]
)
def test_both_clients_have_the_same_face(waits: type, asyncs: type) -> None:
    assert face(waits) == face(asyncs)


def face(kind: type) -> dict[str, list[str]]:
    """What can be called, with its parameters."""
    public = {name: found for name, found in vars(kind).items() if name == "__init__" or not name.startswith("_")}
    callables = {name: inspect.signature(found) for name, found in public.items() if inspect.isfunction(found)}
    return {name: [] for name in public} | {name: list(form.parameters) for name, form in callables.items()}


@pytest.mark.parametrize(("waits", "asyncs"), [("http_sync", "http_async"), ("synchronous", "asynchronous")])
def test_both_clients_are_the_same_code_but_for_waiting(waits: str, asyncs: str) -> None:
    """What is decided once must not come to be decided twice."""
    there = re.sub(r"\b(async|await) |Async|\basyncio\.|^.*assert self\._bytes.*\n", "", code(asyncs), flags=re.M)
    there = re.sub(r"\ba(closing|close|iter_bytes|next)\b|__a(iter|next|enter|exit)__", _waiting, there)
    there = re.sub(r"\((self\._http\.ask\(calls\.\w+\))\)\.", r"\1.", there)  # what was awaited, in brackets
    assert there == code(waits).replace("time.sleep", "sleep")


def _waiting(found: re.Match[str]) -> str:
    return found[1] or f"__{found[2]}__"


def code(name: str) -> str:
    """All classes, without docstrings, and without the types of attributes."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.AnnAssign):
            node.annotation, node.value = ast.Name("any"), None
    return "\n".join(ast.unparse(node) for node in tree.body if isinstance(node, ast.ClassDef))


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(smart_router.__file__).parent / "py.typed").exists()


def test_every_field_of_a_query_can_be_given() -> None:
    assert set(Fields.__annotations__) == set(RouteRequest.__struct_fields__) - {"query", "stream"}


def test_all_that_is_public_is_documented() -> None:
    public = [getattr(client, name) for name in client.__all__]
    undocumented = [kind.__name__ for kind in public if not (kind.__doc__ or "").strip()]
    methods = [
        f"{kind.__name__}.{name}"
        for kind in public
        for name, value in vars(kind).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)) and not value.__doc__
    ]
    assert undocumented + methods == []


def test_all_is_what_the_package_imports() -> None:
    tree = ast.parse((FOLDER / "__init__.py").read_text())
    imported = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(client.__all__) == imported
