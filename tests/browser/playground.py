"""The page as a person uses it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, FilePayload, Locator, Page, expect

from .chromium import WIDE, WITHIN_MS, Watch

STATIC = Path(__file__).parents[2] / "src" / "smart_router" / "web" / "static"
UNDER_WAY = ".turn.under-way"


@dataclass
class Playground:
    page: Page
    watch: Watch
    url: str

    @property
    def box(self) -> Locator:
        return self.page.get_by_label("Message", exact=True)

    @property
    def turns(self) -> Locator:
        return self.page.locator("#transcript > .turn")

    @property
    def last(self) -> Locator:
        return self.turns.last

    @property
    def answer(self) -> Locator:
        """The words of the last one."""
        return self.last.locator(".prose")

    @property
    def notices(self) -> Locator:
        return self.page.locator("#notices")

    @property
    def attached(self) -> Locator:
        return self.page.locator("#attached .chip")

    @property
    def side(self) -> Locator:
        return self.page.get_by_role("navigation", name="Sessions")

    @property
    def panel(self) -> Locator:
        return self.page.get_by_role("complementary", name="Live numbers")

    def open(self) -> None:
        self.page.goto(self.url + "/")
        self.ready()

    def reload(self) -> None:
        self.page.reload()
        self.ready()

    def ready(self) -> None:
        expect(self.page.locator("body[data-ready]")).to_be_attached()

    def button(self, name: str, within: Locator | None = None) -> Locator:
        return (within or self.page).get_by_role("button", name=name, exact=True)

    def send(self, text: str) -> None:
        self.box.fill(text)
        self.box.press("Enter")

    def ask(self, text: str, state: str = "done") -> Locator:
        """Send it, and wait until its turn has ended so."""
        before = self.turns.count()
        self.send(text)
        expect(self.turns).to_have_count(before + 1)
        expect(self.last).to_have_attribute("data-state", state)
        return self.last

    def offer(self, *files: tuple[str, str, bytes]) -> None:
        """Name, media type and bytes of each, to the file picker."""
        given: list[FilePayload] = [{"name": name, "mimeType": kind, "buffer": data} for name, kind, data in files]
        self.page.set_input_files("#files", given)

    def attach(self, name: str, media_type: str, data: bytes) -> None:
        before = self.attached.count()
        self.offer((name, media_type, data))
        expect(self.attached).to_have_count(before + 1)

    def more(self, session: str) -> None:
        """Open the buttons of *session* in the side list."""
        self.button(f"More about {session}", self.side).click()

    def stored(self) -> dict[str, str]:
        """All that this browser keeps for the page, of both kinds."""
        kept: dict[str, str] = self.page.evaluate("() => ({...localStorage, ...sessionStorage})")
        return kept

    def instead(self, path: str, status: int, body: str, headers: Mapping[str, str] | None = None) -> None:
        """Have *path* answered so, in place of the router."""
        told = {"content-type": "application/json", **(headers or {})}
        self.page.route(f"**{path}", lambda route: route.fulfill(status=status, body=body, headers=dict(told)))

    def streams(self, *events: tuple[str, Any], **headers: str) -> None:
        """Have `/route` answer with these events, name and data, and end."""
        named = [
            (f"event: {name}\n" if name else "", data if isinstance(data, str) else json.dumps(data))
            for name, data in events
        ]
        body = "".join(f"{event}data: {data}\n\n" for event, data in named)
        self.instead("/route", 200, body, {"content-type": "text/event-stream", **headers})


def a_playground(browser: Browser, url: str, *, size: Sequence[int] = WIDE, **context: Any) -> Playground:
    """In a context of its own: its storage is empty."""
    made = browser.new_context(viewport={"width": size[0], "height": size[1]}, **context)
    made.set_default_timeout(WITHIN_MS)
    page, watch = made.new_page(), Watch(url)
    watch.over(page)
    return Playground(page, watch, url)


def text_of(locator: Locator) -> str:
    return " ".join(locator.inner_text().split())
