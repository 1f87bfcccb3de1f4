"""The rules of the house, checked by reading the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "smart_router"
OURS = "smart_router"

# What a decision may rest on: shapes, numbers and text, but no clock, no chance, no log and no network.
PURE = {
    "collections",
    "dataclasses",
    "enum",
    "functools",
    "hashlib",
    "ipaddress",
    "itertools",
    "json",
    "math",
    "unicodedata",
    "msgspec",
    "operator",
    "re",
    "typing",
}
# Clients over HTTP; these commands do offline or in one process what the server does.
COMMANDS_WITH_INTERNALS = {
    *("serve", "demo", "classifier", "evaluate", "simulate", "configured", "keys", "up"),
    *("config_checks", "config_sources"),
}
IMPORTED_BY_COMMANDS_THAT_RUN = {"configured", "config_checks", "config_sources"}
ALL_OF_CLI_MAY_USE = {
    *("smart_router.bench", "smart_router.cli", "smart_router.client", "smart_router.dashboards"),
    *(
        "smart_router.doctor",
        "smart_router.errors",
        "smart_router.tui",
        "smart_router.types",
        "smart_router.__version__",
    ),
}
TUI_MAY_USE = {"smart_router.client", "smart_router.tui"}
HEAVY = {"torch", "sentence_transformers", "onnx", "sklearn", "scipy", "transformers", "huggingface_hub"}


def modules(*folders: str) -> list[Path]:
    roots = [SOURCE / folder for folder in folders] or [SOURCE]
    return sorted(path for root in roots for path in (root.rglob("*.py") if root.is_dir() else [root]))


def name_of(path: Path) -> str:
    return ".".join((OURS, *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")


def imports(path: Path, *, deferred: bool = True) -> Iterator[str]:
    """Every module that *path* imports; unless *deferred*, only what it imports on being imported itself."""
    for node in _nodes(ast.parse(path.read_text()), deferred):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who uses whom"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _nodes(node: ast.AST, deferred: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not deferred and (isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or _only_for_types(child)):
            continue
        yield child
        yield from _nodes(child, deferred)


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def within(module: str, *allowed: str) -> bool:
    return any(module == name or module.startswith(name + ".") for name in allowed)


@pytest.mark.parametrize("path", modules("decide"), ids=name_of)
def test_decisions_are_pure(path: Path) -> None:
    assert [m for m in imports(path) if not within(m, *PURE, "smart_router.types", "smart_router.decide")] == []


@pytest.mark.parametrize("path", modules("decide"), ids=name_of)
def test_decisions_read_and_print_nothing(path: Path) -> None:
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    names = {called.id for called in calls if isinstance(called, ast.Name)}
    assert names & {"open", "print", "input", "exec", "eval", "__import__"} == set()


def test_the_nouns_that_all_share_import_none_of_us() -> None:
    assert [m for m in imports(SOURCE / "types.py") if within(m, OURS)] == []
    errors = [m for m in imports(SOURCE / "errors.py") if within(m, OURS)]
    assert [m for m in errors if not within(m, "smart_router.types")] == []


def test_only_entry_points_import_the_app() -> None:
    users = {name_of(path) for path in modules() if "smart_router.app" in imports(path)}
    assert users == {"smart_router.cli.serve"}


@pytest.mark.parametrize("path", [p for p in modules("cli") if p.stem not in COMMANDS_WITH_INTERNALS], ids=name_of)
def test_the_command_line_is_a_client(path: Path) -> None:
    ours = [m for m in imports(path) if within(m, OURS) and m != OURS]
    assert [m for m in ours if not within(m, *ALL_OF_CLI_MAY_USE)] == []


@pytest.mark.parametrize("folder", ["bench", "doctor"])
def test_whoever_looks_from_outside_knows_no_internals(folder: str) -> None:
    """Beyond how a stream of events is read."""
    allowed = {f"{OURS}.{folder}", f"{OURS}.decide.sse", f"{OURS}.__version__"}
    used = {m for path in modules(folder) for m in imports(path) if within(m, OURS)}
    assert {m for m in used if not within(m, *allowed)} <= {OURS, f"{OURS}.decide"}


@pytest.mark.parametrize("path", modules("tui"), ids=name_of)
def test_the_terminal_chat_is_a_client(path: Path) -> None:
    assert [m for m in imports(path) if within(m, OURS) and not within(m, *TUI_MAY_USE)] == []


@pytest.mark.parametrize("path", modules("web"), ids=name_of)
def test_the_page_is_a_client_too(path: Path) -> None:
    assert [m for m in imports(path) if within(m, OURS) and not within(m, "smart_router.web")] == []


def test_every_command_with_internals_is_there() -> None:
    assert {path.stem for path in modules("cli")} >= COMMANDS_WITH_INTERNALS


@pytest.mark.parametrize("path", modules("cli"), ids=name_of)
def test_a_command_waits_with_heavy_imports_until_it_runs(path: Path) -> None:
    ours = ("smart_router.app", "smart_router.classify", "smart_router.upstream", "smart_router.simulate")
    slow = (*ours, "numpy", "textual")
    if path.stem not in IMPORTED_BY_COMMANDS_THAT_RUN:
        assert [m for m in imports(path, deferred=False) if within(m, *slow)] == []


@pytest.mark.parametrize("path", modules("simulate"), ids=name_of)
def test_the_simulator_knows_nothing_of_the_router(path: Path) -> None:
    assert [m for m in imports(path) if within(m, OURS) and not within(m, "smart_router.simulate")] == []


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_what_only_building_needs_is_imported_by_nobody_at_module_level(path: Path) -> None:
    assert [m for m in imports(path, deferred=False) if m.partition(".")[0] in HEAVY] == []


# What of a family others may use beside its dict of kinds: the promises, and for `upstream` the fleet, connections, and
# what Ollama says beside its answers.
OPEN = {
    "sessions": {"base", "__init__"},
    "upstream": {"base", "__init__", "fleet", "ollama_api", "pool", "response"},
}


@pytest.mark.parametrize("family", OPEN)
def test_the_kinds_of_a_family_are_used_through_its_dict(family: str) -> None:
    kinds = [name_of(path) for path in modules(family) if path.stem not in OPEN[family]]
    outside = [path for path in modules() if path.parent != SOURCE / family]
    assert [(name_of(path), m) for path in outside for m in imports(path) if within(m, *kinds)] == []


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_web_framework_beyond_the_control_plane(path: Path) -> None:
    admitted = {"app"} | {p.stem for p in modules("api")}
    if path.stem not in admitted or path.parent.name not in ("smart_router", "api"):
        assert [m for m in imports(path) if within(m, "fastapi", "starlette") and "simulate" not in name_of(path)] == []


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_nobody_uses_middleware_that_hides_a_disconnect(path: Path) -> None:
    assert "BaseHTTPMiddleware" not in path.read_text()


def test_importing_the_app_imports_nothing_heavy() -> None:
    code = f"import sys, smart_router.app; print(sorted(set(sys.modules) & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
