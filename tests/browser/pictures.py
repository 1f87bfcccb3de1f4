"""
The pictures of docs/playground.md, made again: `python -m tests.browser.pictures`.

A real router on simulated model servers, whose answers say themselves that they are simulated.
"""

import io
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

from smart_router.cli.media import picture
from smart_router.simulate import SimulatedModel, running
from tests.e2e.asking import FOLLOW_UP, PYTHON
from tests.e2e.models import KINDS
from tests.e2e.routers import a_registry, running_router

from .chromium import NARROW, WIDE, WITHIN_MS, a_browser
from .playground import Playground, a_playground

IMAGES = Path(__file__).parents[2] / "docs" / "images"
TOKENS_PER_SECOND = 60.0
MOST_BYTES = 200_000
COLOURS = 200  # enough for text and a few lines


def main() -> None:
    expect.set_options(timeout=WITHIN_MS)
    with ExitStack() as stack:
        endpoints = {
            id: [stack.enter_context(running(SimulatedModel(id, kind, tokens_per_second=TOKENS_PER_SECOND)))]
            for id, kind in KINDS.items()
        }
        folder = Path(stack.enter_context(TemporaryDirectory()))
        router = stack.enter_context(running_router(a_registry(folder, endpoints)))
        browser = stack.enter_context(a_browser(stack.enter_context(sync_playwright())))
        for size in (WIDE, NARROW):
            for scheme in ("light", "dark"):
                _picture(browser, router.url, size, scheme)


def _picture(browser: Browser, url: str, size: tuple[int, int], scheme: str) -> None:
    playground = a_playground(browser, url, size=size, color_scheme=scheme, device_scale_factor=1)
    playground.open()
    _converse(playground, why=size == WIDE)
    shot = playground.page.screenshot()
    path = IMAGES / f"playground-{scheme}-{size[0]}.png"
    path.write_bytes(smaller(shot))
    assert path.stat().st_size <= MOST_BYTES, f"{path.name} is too large"
    print(path)
    playground.page.context.close()


def _converse(playground: Playground, *, why: bool) -> None:
    playground.ask("दुकान के लिए दिवाली ऑफ़र का छोटा सा मैसेज लिख दो")
    playground.page.keyboard.press("Control+k")
    playground.ask(PYTHON)
    playground.ask(FOLLOW_UP)
    playground.attach("screenshot.png", "image/png", picture()[0])
    playground.ask("What is wrong in this screenshot?")
    if why:
        playground.button("Why this route?", playground.last).click()
        expect(playground.last.locator(".lanes")).to_be_visible()
        expect(playground.panel.locator("figcaption")).to_be_visible()


def smaller(shot: bytes) -> bytes:
    """The same picture with fewer colours."""
    file = io.BytesIO()
    Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
        file, "PNG", optimize=True
    )
    return file.getvalue()


if __name__ == "__main__":
    main()
