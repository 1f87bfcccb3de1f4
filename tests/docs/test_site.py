"""The documents' site builds without a warning, and needs no other host to be read."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from scripts.docs.lists import indented_by_four
from scripts.docs.repository import ELSEWHERE, NoSuchFile, linked_within_the_site

from tests.docs.blocks import ROOT

WITHIN_S = 300.0  # it takes some seconds; the machine may be busy
pytestmark = pytest.mark.timeout(360)


def build(to: Path, docs: Path = ROOT / "docs", **others: object) -> subprocess.CompletedProcess[str]:
    """As `mkdocs build --strict` does it, but for *others* of its settings."""
    settings = {"docs_dir": str(docs), "site_dir": str(to), "strict": True} | others
    code = (
        "import logging; logging.basicConfig()\n"
        "from mkdocs.commands.build import build; from mkdocs.config import load_config\n"
        f"build(load_config({str(ROOT / 'mkdocs.yml')!r}, **{settings!r}))\n"
    )
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WITHIN_S)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("site")
    done = build(to)
    assert done.returncode == 0, done.stderr[-3000:]
    return to


class Loaded(HTMLParser):
    """What a browser fetches for a page without being asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses = list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "video", "audio", "source", "embed"):
            self.addresses.append(given.get("src") or "")
        if tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.addresses.append(given.get("href") or "")


def test_it_builds_strictly_and_has_every_page(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    pages |= {Path(place).with_suffix(".html") for place in ELSEWHERE.values()}
    assert {page.as_posix() for page in pages if not (site / page).is_file()} == set()
    assert set(ELSEWHERE) >= {"README.md", "CHANGELOG.md", "CONTRIBUTING.md"}


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    found = dict[str, list[str]]()
    for page in site.rglob("*.html"):
        loaded = Loaded()
        loaded.feed(page.read_text("utf-8"))
        away = [address for address in loaded.addresses if re.match(r"(?:https?:)?//", address)]
        found |= {page.name: away} if away else {}
    assert found == {}


def test_no_stylesheet_loads_anything_from_another_host(site: Path) -> None:
    sheets = list(site.rglob("*.css"))
    assert sheets
    assert [s.name for s in sheets if re.search(r"(?:url\(|@import)[\s\"']*(?:https?:)?//", s.read_text("utf-8"))] == []


def test_the_search_knows_every_setting(site: Path) -> None:
    from smart_router.settings import Settings

    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    text = " ".join(entry["text"] for entry in index["docs"])
    assert [name for name in map(str.upper, Settings.model_fields) if name not in text] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[the alerts](operations.md#no-such-alert)", "#no-such-alert"),
        ("[nothing](nothing.md)", "there is no docs/nothing.md"),
    ],
)
def test_a_link_that_leads_nowhere_fails_the_build(text: str, told: str, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for path in (ROOT / "docs").iterdir():
        (docs / path.name).symlink_to(path)
    (docs / "faults.md").write_text(f"# Faults\n\n{text}\n")
    done = build(tmp_path / "site", docs, plugins=[])
    assert done.returncode != 0
    assert told in done.stderr


# links


@pytest.mark.parametrize(
    ("page", "text", "there"),
    [
        ("load.md", "[r](../benchmarks/results.md#tables)", "[r](project/benchmark-results.md#tables)"),
        ("project/readme.md", "[s](docs/security.md#policy)", "[s](../security.md#policy)"),
        ("project/readme.md", "![p](docs/images/overview.png)", "![p](../images/overview.png)"),
        ("project/benchmark-results.md", "[r](README.md)", "[r](benchmarks.md)"),
        ("reference/registry.md", "[c](../../LICENSE)", "[c](../repository/LICENSE.md)"),
        ("project/benchmark-results.md", "see [what it does](../loadtests).", "see what it does."),
        ("load.md", "[here](#below), [there](https://example.com/x.md)", "[here](#below), [there](https://example.com/x.md)"),
        ("load.md", "`[a](b.md)` and\n```\n[a](b.md)\n```\n", "`[a](b.md)` and\n```\n[a](b.md)\n```\n"),
    ],
)  # fmt: skip
def test_a_link_that_is_right_in_the_repository_leads_to_the_same_in_the_site(page: str, text: str, there: str) -> None:
    assert linked_within_the_site(text, page)[0] == there


def test_files_that_are_linked_to_and_are_no_pages_are_told() -> None:
    assert linked_within_the_site("[c](../config/model_registry.yaml)", "load.md")[1] == {"config/model_registry.yaml"}
    with pytest.raises(NoSuchFile, match=r"docs/load\.md: \.\./nowhere\.md"):
        linked_within_the_site("[c](../nowhere.md)", "load.md")


# lists


def test_what_belongs_to_an_item_is_indented_as_the_site_wants_it() -> None:
    assert indented_by_four(
        "Text:\n1. One\n   goes on\n\n   ```\n     code\n   ```\n2. Two\n   - a\n     b\n\nEnd\n"
    ) == ("Text:\n\n1. One\n    goes on\n\n    ```\n      code\n    ```\n2. Two\n    - a\n        b\n\nEnd\n")


def test_what_is_no_list_stays_as_it_is() -> None:
    text = "# A\n\n    code\n    - no item\n\n| a |\n|---|\n| b |\n\n```\n- no item\n  either\n```\n"
    assert indented_by_four(text) == text
