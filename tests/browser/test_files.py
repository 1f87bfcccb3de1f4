"""The page's files as they are served and shipped: whole, local, and under a strict policy."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from smart_router.web.files import TYPES
from tests.e2e.models import Models
from tests.e2e.routers import Router, a_registry, running_router

from .playground import STATIC

ROOT = Path(__file__).parents[2]
SERVED = sorted(path for path in STATIC.rglob("*") if path.suffix in TYPES and path.name != "index.html")
SCRIPTS = [path for path in SERVED if path.suffix == ".js"]
# What makes text into markup, script or style, or keeps what must not be kept.
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|\beval\(|new Function|"
    r"setTimeout\(\s*[\"'`]|srcdoc|\.cookie\b|indexedDB|\.style\.cssText|importScripts|XMLHttpRequest|WebSocket"
)


def its_path(file: Path) -> str:
    return f"/ui/{file.relative_to(STATIC).as_posix()}"


@pytest.mark.parametrize("path", ["/", *map(its_path, SERVED)])
def test_every_file_is_served_under_the_policy_and_asked_for_again_only_when_it_changed(
    simulated_router: Router, path: str
) -> None:
    whole = simulated_router.http.get(path)
    assert whole.status_code == 200
    policy = whole.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "require-trusted-types-for 'script'" in policy
    assert "microphone=(self)" in whole.headers["permissions-policy"]
    assert whole.headers["cache-control"] == "no-cache"
    again = simulated_router.http.get(path, headers={"If-None-Match": f'W/"x", {whole.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    head = simulated_router.http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))


def test_an_operator_may_serve_no_page(models: Models, tmp_path: Path) -> None:
    with running_router(a_registry(tmp_path, models.endpoints), playground=False) as router:
        assert router.http.get("/use-cases").status_code == 200
        unknown = router.http.get("/nothing-here")
        for path in ("/", "/ui/main.js", "/ui/about.json"):
            found = router.http.get(path)
            assert (found.status_code, found.json().keys()) == (404, unknown.json().keys())


def test_only_reading_is_allowed(simulated_router: Router) -> None:
    refused = simulated_router.http.post("/", content=b"{}")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert refused.json()["error_code"] == "method_not_allowed"


@pytest.mark.parametrize(
    "path",
    [
        "/ui/", "/ui", "/ui/../files.py", "/ui/..%2ffiles.py", "/ui/%2e%2e/files.py", "/ui/style/../../files.py",
        "/ui//etc/passwd", "/ui/package.json",
        "/ui/index.html", "/ui/main.js/", "/ui/MAIN.JS", "/ui/..\\files.py", "/ui/%00",
    ],
)  # fmt: skip
def test_no_other_path_leads_to_a_file(simulated_router: Router, path: str) -> None:
    answer = simulated_router.http.get(simulated_router.url + path)
    assert answer.status_code == 404
    assert answer.json()["error_code"] == "not_found"


def test_the_page_and_what_it_may_know_need_no_key(keyed_router: Router) -> None:
    assert keyed_router.http.get("/").status_code == 200
    assert keyed_router.http.get("/ui/main.js").status_code == 200
    about = keyed_router.http.get("/ui/about.json")
    assert about.headers["cache-control"] == "no-store"
    assert about.json()["key_needed"] is True
    assert keyed_router.http.get("/stats").status_code == 401


def test_the_page_is_told_the_routers_limits_and_defaults(simulated_router: Router) -> None:
    about = simulated_router.get("/ui/about.json")
    assert about["max_body_bytes"] == 1024 * 1024
    assert (about["max_tokens"], about["temperature"], about["key_needed"]) == (100, 0.7, False)


class References(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [value for name in ("src", "href") if (value := given.get(name)) and not value.startswith("#")]
        self.inline += [f"{tag} {name}" for name, _ in attrs if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)


def test_the_page_refers_to_its_own_files_alone_and_holds_nothing_inline() -> None:
    page = References()
    page.feed((STATIC / "index.html").read_text())
    assert page.inline == []
    files = {its_path(path).removeprefix("/") for path in SERVED}
    assert [name for name in page.found if name not in files | {"docs"}] == []
    styles = [its_path(path).removeprefix("/") for path in SERVED if path.suffix == ".css"]
    assert [name for name in styles if name not in page.found] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=its_path)
def test_a_module_imports_files_that_are_there_and_makes_no_markup_of_text(path: Path) -> None:
    source = path.read_text()
    imported = re.findall(r'^(?:import|export) .*?from "([^"]+)";', source, re.MULTILINE | re.DOTALL)
    assert [name for name in imported if not name.startswith(".") or not (path.parent / name).is_file()] == []
    assert FORBIDDEN.findall(source) == []
    assert re.findall(r"https?://(?!example\.org|www\.w3\.org|html\.spec\.whatwg\.org)[a-z]", source) == []


def test_every_module_is_used() -> None:
    used = {"main.js", "early_theme.js"}
    for path in SCRIPTS:
        used |= {name.rpartition("/")[2] for name in re.findall(r'from "(\.[^"]+)"', path.read_text())}
    assert {path.name for path in SCRIPTS} - used == set()


def test_styles_load_nothing_from_elsewhere() -> None:
    for path in SERVED:
        if path.suffix == ".css":
            assert re.findall(r"@import|url\(|expression", path.read_text()) == []


def test_the_wheel_holds_every_file_of_the_page() -> None:
    shipped = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    page = STATIC.relative_to(ROOT / "src").as_posix()
    wanted = {f"{page}/{path.relative_to(STATIC).as_posix()}" for path in [*SERVED, STATIC / "index.html"]}
    assert wanted - shipped == set()
