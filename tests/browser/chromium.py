"""A real browser, and a watch over every page: what it says on its console, and whom it talks to."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Playwright

from tests.needs import missing

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FAKE_MICROPHONE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
WITHIN_MS = 20_000
WIDE, NARROW = (1440, 900), (390, 844)
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium_program() -> str:
    """On a build server it must be there."""
    named = os.environ.get("CHROMIUM")
    found = named or next(filter(None, map(shutil.which, _NAMES)), None)
    return found or missing(f"no browser on the PATH ({', '.join(_NAMES)}), and CHROMIUM names none")


@contextmanager
def a_browser(playwright: Playwright, *flags: str) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=chromium_program(), args=[*FLAGS, *flags])
    yield browser
    browser.close()


@dataclass
class Watch:
    """What a page did. *statuses* that a test provokes are told to `provoked`; the browser itself reports those."""

    origin: str
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    _provoked: list[str] = field(default_factory=list)

    def over(self, page: Page) -> None:
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", lambda request: self._asked(request.url))

    def provoked(self, *expected: object) -> None:
        """A status, or a `net::` error, that the browser's console will report of a request."""
        self._provoked += [str(one) for one in expected]

    def check(self) -> None:
        unexpected = [said for said in self.complaints if not self._is_provoked(said)]
        assert unexpected == [], unexpected
        assert self.foreign == [], "the page talked to others"

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _asked(self, url: str) -> None:
        self.urls.append(url)
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.foreign.append(url)

    def _is_provoked(self, said: str) -> bool:
        return "Failed to load resource" in said and any(
            re.search(rf"\b{re.escape(one)}\b", said) for one in self._provoked
        )
