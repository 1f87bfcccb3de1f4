"""The what-if box and the live panel."""

import base64
import re

from playwright.sync_api import expect

from tests.e2e.asking import ALOUD, FOLLOW_UP, PYTHON, a_png
from tests.e2e.models import Models
from tests.e2e.routers import Router

from .conftest import Opener
from .playground import Playground


def test_what_if_shows_the_decision_without_sending(playground: Playground, models: Models) -> None:
    preview = playground.page.get_by_role("region", name="Preview of the route")
    playground.box.fill(ALOUD)
    playground.box.press("Control+Enter")
    expect(preview.get_by_role("list", name="Decision")).to_contain_text("tts")
    expect(preview.locator(".bar-name").first).to_have_text("tts")
    assert models.requests() == 0
    expect(playground.turns).to_have_count(0)
    playground.page.keyboard.press("Escape")
    expect(preview).to_be_hidden()
    expect(playground.box).to_have_value(ALOUD)


def test_what_if_can_leave_the_session_out(playground: Playground) -> None:
    preview = playground.page.get_by_role("region", name="Preview of the route")
    playground.ask(PYTHON)
    playground.box.fill(FOLLOW_UP)
    playground.button("What if").click()
    expect(preview).to_contain_text("bypassed")
    playground.button("as a first message").click()
    expect(preview).not_to_contain_text("bypassed")
    expect(preview.get_by_role("list", name="Decision")).to_contain_text(re.compile("classified|default"))


def test_what_if_counts_attachments(playground: Playground) -> None:
    playground.attach("dot.png", "image/png", base64.b64decode(a_png()))
    playground.box.fill("What is this?")
    playground.button("What if").click()
    expect(playground.page.get_by_role("region", name="Preview of the route")).to_contain_text("multimodal")


def test_the_live_panel_follows_the_traffic(playground: Playground, router: Router) -> None:
    playground.ask(PYTHON)
    playground.ask(FOLLOW_UP)
    panel = playground.panel
    expect(panel).to_contain_text(re.compile(r"\d+ of \d+ skipped the classifier"))
    expect(panel.locator(".bar-name", has_text="agent")).to_be_visible()
    expect(panel).to_contain_text("Qwen2.5-7B-Instruct")
    asked = panel.locator("dt", has_text="Requests").locator("xpath=../dd")
    expect(asked).to_have_text(str(router.get("/stats")["total_requests"]))
    playground.ask("make it shorter")
    expect(asked).to_have_text(str(router.get("/stats")["total_requests"]))


def test_a_closed_panel_asks_nothing_and_stays_closed(playground: Playground) -> None:
    playground.button("Close the live numbers").click()
    expect(playground.panel).to_be_hidden()
    playground.reload()
    expect(playground.panel).to_be_hidden()
    playground.watch.urls.clear()
    playground.ask(PYTHON)
    assert not any(url.endswith("/stats") for url in playground.watch.urls)
    playground.button("Live").click()
    expect(playground.panel).to_contain_text("Bypass rate")


def test_states_that_the_statistics_tell_are_shown(opener: Opener, router: Router) -> None:
    playground = opener(router.url, opened_at_once=False)
    states = {
        "Qwen/Qwen2.5-7B-Instruct": {"state": "sleeping", "in_flight": 0, "waiting": 2},
        "other/model": {"state": "waking", "in_flight": 1, "waiting": 0},
    }
    playground.page.route("**/stats", lambda route: route.fulfill(json={"total_requests": 0, "model_states": states}))
    playground.open()
    expect(playground.panel).to_contain_text("sleeping, 2 waiting")
    expect(playground.panel).to_contain_text("waking, 1 running")


def test_the_first_screen_invites(playground: Playground) -> None:
    for name in ("agent", "multimodal", "video", "stt", "tts", "avatar"):
        expect(playground.page.get_by_role("list", name="Use cases").get_by_text(name, exact=True)).to_be_visible()
    playground.page.get_by_role("button", name=re.compile("Write code")).click()
    expect(playground.box).to_have_value(re.compile("Python"))
    expect(playground.box).to_be_focused()
    expect(playground.turns).to_have_count(0)
