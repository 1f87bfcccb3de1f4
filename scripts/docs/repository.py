"""
The repository's files in the site: Markdown outside `docs/` becomes pages, and links that are right on GitHub, relative
to where a file stands in the repository, lead to the same things there.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
DOCS = "docs"
# Where what stands outside docs/ is in the site.
ELSEWHERE: Mapping[str, str] = {
    "README.md": "project/readme.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "benchmarks/README.md": "project/benchmarks.md",
    "benchmarks/results.md": "project/benchmark-results.md",
    "loadtests/README.md": "project/load-tests.md",
}
FILES = "repository"  # where files that are no Markdown are shown
_LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\[\]]*\])*\])\(([^)\s]+)\)")
_CODE = re.compile(r"(^ *(`{3,}|~{3,}).*?^ *\2[ \t]*$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_LANGUAGES = {".yaml": "yaml", ".yml": "yaml", ".py": "python", ".json": "json", ".sh": "bash", ".js": "js"}


class NoSuchFile(Exception):
    """A link leads nowhere; the message names the page and the link."""


def source_of(page: str) -> str:
    """Where a page of the site, named as in the site, stands in the repository."""
    found = {place: source for source, place in ELSEWHERE.items()}
    return found.get(page, f"{DOCS}/{page}")


def linked_within_the_site(text: str, page: str) -> tuple[str, set[str]]:
    """
    *text* of *page* with links into the repository made links of the site, and the files that it links to which are no
    pages yet. A link to a folder loses its link: there is nothing to show.

    Raises:
        NoSuchFile
    """
    shown = set[str]()

    def link(found: re.Match[str]) -> str:
        label, target = found.groups()
        path, hash_, anchor = target.partition("#")
        if not path or re.match(r"[a-z][a-z0-9+.-]*:", path):
            return found.group()
        source = _within_repository(source_of(page), path)
        if not (ROOT / source).exists():
            raise NoSuchFile(f"{source_of(page)}: {target}: there is no {source}; mend the link")
        if (ROOT / source).is_dir():
            return label[1:-1]
        if not _is_in_docs(source) and source not in ELSEWHERE:
            shown.add(source)
        return f"{label}({_relative(place_of(source), page)}{hash_}{anchor})"

    parts = _CODE.split(text)  # between, code and its fence
    for i in range(0, len(parts), 3):
        parts[i] = _LINK.sub(link, parts[i])
    del parts[2::3]
    return "".join(parts), shown


def place_of(source: str) -> str:
    """Where a file of the repository is in the site."""
    if _is_in_docs(source):
        return source.removeprefix(f"{DOCS}/")
    return ELSEWHERE.get(source) or f"{FILES}/{source}.md"


def page_showing(source: str) -> str:
    """A page with the text of a file that is no page itself."""
    language = _LANGUAGES.get(PurePosixPath(source).suffix, "text")
    text = (ROOT / source).read_text(encoding="utf-8")
    return f"# {source}\n\n`````{language}\n{text.rstrip()}\n`````\n"


def _is_in_docs(source: str) -> bool:
    return source.startswith(f"{DOCS}/")


def _within_repository(source: str, link: str) -> str:
    return os.path.normpath(PurePosixPath(source).parent / link)


def _relative(place: str, page: str) -> str:
    return os.path.relpath(place, PurePosixPath(page).parent)
