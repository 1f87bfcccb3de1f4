"""
What of the documents is made from the source. It is committed, as it is read on GitHub, too; a test tells when it is
not current.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.docs.api_page import api_page
from scripts.docs.errors_page import errors_page
from scripts.docs.registry_page import registry_page
from scripts.docs.settings_tables import settings_tables

ROOT = Path(__file__).parents[2]
BEGINS = "<!-- made by `make docs` from src/smart_router/settings.py -->\n"
ENDS = "<!-- until here -->\n"


def configuration_page() -> str:
    """The page with its tables made anew; what stands around them is written by hand."""
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    before, begins, rest = text.partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    assert begins and ends, f"docs/configuration.md needs the lines {BEGINS.strip()} and {ENDS.strip()}"
    return f"{before}{begins}\n{settings_tables()}\n{ends}{after}"


PAGES: Mapping[str, Callable[[], str]] = {
    "docs/configuration.md": configuration_page,
    "docs/reference/errors.md": errors_page,
    "docs/reference/registry.md": registry_page,
    "docs/reference/api.md": api_page,
}
