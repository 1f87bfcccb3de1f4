"""What mkdocs.yml has MkDocs call while it builds the site."""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:  # MkDocs loads this file by its path
    sys.path.insert(0, str(ROOT))

from mkdocs.config.defaults import MkDocsConfig  # noqa: E402
from mkdocs.exceptions import PluginError  # noqa: E402
from mkdocs.structure.files import File, Files  # noqa: E402

from scripts.docs import repository  # noqa: E402
from scripts.docs.lists import indented_by_four  # noqa: E402


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what stands outside docs/."""
    for source, place in repository.ELSEWHERE.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    shown, faults = set[str](), list[str]()
    for file in files.documentation_pages():
        try:
            shown |= repository.linked_within_the_site(file.content_string, file.src_uri)[1]
        except repository.NoSuchFile as exc:
            faults.append(str(exc))
    if faults:
        raise PluginError("\n".join(faults))
    for source in sorted(shown):
        files.append(File.generated(config, repository.place_of(source), content=repository.page_showing(source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    if page.file.src_uri.startswith(f"{repository.FILES}/"):
        return markdown
    return indented_by_four(repository.linked_within_the_site(markdown, page.file.src_uri)[0])
