"""axe-core's rules in every state, width and theme; the whole page by keyboard; what a screen reader is told."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it says nothing of types
from playwright.sync_api import expect

from tests.e2e.asking import ALOUD, FOLLOW_UP, PYTHON
from tests.e2e.models import Recorder
from tests.e2e.routers import Router

from .chromium import NARROW, WIDE
from .conftest import Opener
from .playground import Playground
from .speaking import says

MARKDOWN = (
    "# One\n\n### Three\n\nA [link](https://example.org/) and `code`.\n\n```\nx\n```\n\n"
    "- [x] done\n\n|a|b|\n|-|-|\n|1|2|\n\n> quoted"
)


def broken_rules(playground: Playground, state: str) -> list[str]:
    """Each with the state of the page, the rule and the elements that break it."""
    found: list[dict[str, Any]] = Axe().run(playground.page).response["violations"]
    return [f"{state}: {rule['id']}: {[node['html'][:120] for node in rule['nodes'][:3]]}" for rule in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1440", "390"])
def test_no_rule_of_axe_is_broken_in_any_state(
    opener: Opener, spoken_router: Router, model: Recorder, size: Any, scheme: Any
) -> None:
    playground = opener(spoken_router.url, size=size, color_scheme=scheme, reduced_motion="reduce")
    page, found = playground.page, []
    narrow = size == NARROW
    says(model, MARKDOWN)
    found += broken_rules(playground, "empty")
    playground.ask(PYTHON)
    playground.button("Why this route?", playground.last).click()
    expect(playground.last.locator(".lanes")).to_be_visible()
    playground.ask(FOLLOW_UP)
    playground.ask(ALOUD)
    found += broken_rules(playground, "answers")
    playground.watch.provoked(503)
    playground.instead("/route", 503, '{"error_message": "busy", "request_id": "r"}', {"retry-after": "60"})
    playground.ask("Hello", state="failed")
    playground.offer(("a.pdf", "application/pdf", b"x"), ("a.txt", "text/plain", b"x"))
    playground.attach("dot.wav", "audio/wav", b"RIFF")
    playground.box.fill(ALOUD)
    playground.button("What if").click()
    expect(page.locator("#what-if-answer .because")).to_be_visible()
    found += broken_rules(playground, "trouble, attachment, what if")
    opened: dict[str, Callable[[], None]] = {
        "settings": lambda: playground.button("Settings").click(),
        "address": lambda: playground.button("Attach by address").click(),
    }
    for name, open_it in opened.items():
        open_it()
        found += broken_rules(playground, name)
        page.keyboard.press("Escape")
    if narrow:
        playground.button("Live").click()
        found += broken_rules(playground, "live drawer")
        page.keyboard.press("Escape")
        playground.button("Sessions").click()
    playground.more(PYTHON)
    found += broken_rules(playground, "session's buttons")
    playground.button("End", playground.side).click()
    found += broken_rules(playground, "confirmation")
    assert found == []


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1440", "390"])
def test_nothing_is_wider_than_the_window(opener: Opener, spoken_router: Router, model: Recorder, size: Any) -> None:
    playground = opener(spoken_router.url, size=size)
    says(
        model,
        MARKDOWN + "\n\n" + "x" * 500 + "\n\n```\n" + "y" * 500 + "\n```\n\n" + "|a" * 30 + "|\n" + "|-" * 30 + "|\n",
    )
    playground.ask("w" * 300)
    assert playground.page.evaluate("() => document.documentElement.scrollWidth") <= size[0]
    assert playground.page.locator("#scroller").evaluate("e => e.scrollWidth <= e.clientWidth")


def test_at_four_times_the_size_everything_can_be_reached(opener: Opener, router: Router) -> None:
    """A window of 1280 x 1024 at 400 %, with all that may stand above and below the message box."""
    playground = opener(router.url, size=(320, 256))
    playground.ask(PYTHON)
    playground.box.fill("line\n" * 30)
    playground.page.keyboard.press("Control+Enter")
    preview = playground.page.get_by_role("region", name="Preview of the route")
    expect(preview.get_by_role("list", name="Decision")).to_be_attached()
    assert preview.evaluate("e => e.clientHeight") >= 100
    playground.attach("dot.png", "image/png", b"\x89PNG\r\n\x1a\n" + bytes(30))
    playground.offer(("a report with a long name.pdf", "application/pdf", b"%PDF"))
    for place in (playground.button("Dismiss"), playground.button("Send"), playground.button("Settings")):
        place.scroll_into_view_if_needed()
        expect(place).to_be_in_viewport(ratio=0.99)
    assert playground.page.evaluate("() => document.documentElement.scrollWidth") <= 320


def test_the_whole_job_is_done_by_keyboard(playground: Playground) -> None:
    keyboard, page = playground.page.keyboard, playground.page
    keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the message box")).to_be_focused()
    keyboard.press("Enter")
    expect(playground.box).to_be_focused()
    keyboard.type(PYTHON)
    keyboard.press("Enter")
    expect(playground.last).to_have_attribute("data-state", "done")
    expect(playground.box).to_be_focused()
    keyboard.press("Shift+Tab")  # past the box, back into the conversation: the copy button is its last
    expect(playground.button("Copy the answer", playground.last)).to_be_focused()
    keyboard.press("Shift+Tab")
    expect(playground.button("Why this route?", playground.last)).to_be_focused()
    assert playground.last.locator(":focus").evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
    keyboard.press("Enter")
    expect(playground.last.locator(".why-panel")).to_be_visible()
    keyboard.press("Control+k")
    expect(playground.box).to_be_focused()
    expect(playground.turns).to_have_count(0)
    first = playground.side.locator(".session-name", has_text=PYTHON)
    first.focus()
    keyboard.press("Enter")
    expect(playground.turns).to_have_count(1)
    playground.side.get_by_role("button", name=f"More about {PYTHON}").focus()
    for key in ("Enter", "Tab", "Enter"):
        keyboard.press(key)
    keyboard.type("Sorting")
    keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sorting")
    playground.button("Settings").focus()
    keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Settings")).to_be_visible()
    keyboard.press("Escape")
    expect(playground.button("Settings")).to_be_focused()


def test_a_finished_answer_is_announced_once_and_not_word_by_word(spoken: Playground, model: Recorder) -> None:
    spoken.page.evaluate("""() => {
        window.told = [];
        const live = document.querySelector('#announcer');
        const all = {childList: true, characterData: true, subtree: true};
        new MutationObserver(() => window.told.push(live.textContent)).observe(live, all);
    }""")
    says(model, *("word " for _ in range(20)))
    spoken.ask(PYTHON)
    expect(spoken.page.locator("#announcer")).to_contain_text("Answer from agent")
    assert len(spoken.page.evaluate("() => window.told")) == 1
    assert spoken.page.locator("#transcript [aria-live], #transcript[aria-live]").count() == 0


def test_the_theme_follows_the_system_until_it_is_chosen(opener: Opener, router: Router) -> None:
    playground = opener(router.url, color_scheme="dark")
    background = "() => getComputedStyle(document.body).backgroundColor"
    dark = playground.page.evaluate(background)
    playground.button("Switch to light").click()
    light = playground.page.evaluate(background)
    assert dark != light
    playground.reload()
    assert playground.page.evaluate(background) == light
    playground.button("Settings").click()
    playground.page.get_by_label("System").check()
    assert playground.page.evaluate(background) == dark


def test_on_a_phone_the_sides_come_and_go_with_the_focus(opener: Opener, router: Router) -> None:
    playground = opener(router.url, size=NARROW)
    expect(playground.side).to_be_hidden()
    playground.button("Sessions").click()
    expect(playground.button("Close the list of sessions")).to_be_focused()
    playground.page.keyboard.press("Escape")
    expect(playground.button("Sessions")).to_be_focused()
    expect(playground.side).to_be_hidden()
    playground.ask(PYTHON)
    playground.button("Sessions").click()
    playground.button("New session Ctrl K").click()
    expect(playground.box).to_be_focused()
    expect(playground.turns).to_have_count(0)
