"""Where the focus is after what had it has gone: never nowhere."""

from playwright.sync_api import expect

from tests.e2e.asking import PYTHON
from tests.e2e.models import Recorder

from .playground import Playground
from .speaking import Pause, says, speaks


def test_ending_a_session_leaves_the_focus_in_the_message_box(playground: Playground) -> None:
    playground.ask(PYTHON)
    playground.more(PYTHON)
    playground.button("End", playground.side).press("Enter")
    playground.button("End it").press("Enter")
    expect(playground.turns).to_have_count(0)
    expect(playground.box).to_be_focused()


def test_asking_again_leaves_the_focus_in_the_message_box(spoken: Playground, model: Recorder) -> None:
    says(model, "")
    spoken.ask("Tell me a story")
    speaks(model, "Once ", pause := Pause(), "upon a time.")
    spoken.button("Ask again").press("Enter")
    expect(spoken.answer).to_have_text("Once")
    expect(spoken.box).to_be_focused()
    pause.go()


def test_a_preview_keeps_the_focus_as_long_as_it_is_open(playground: Playground) -> None:
    playground.ask(PYTHON)
    playground.box.fill("thanks")
    playground.page.keyboard.press("Control+Enter")
    preview = playground.page.get_by_role("region", name="Preview of the route")
    first = playground.button("as a first message", preview)
    expect(preview.get_by_role("list", name="Decision")).to_be_visible()
    first.press("Enter")
    expect(first).to_have_attribute("aria-pressed", "true")
    expect(preview.get_by_role("list", name="Decision")).to_be_visible()
    expect(first).to_be_focused()
    playground.button("Close the preview").press("Enter")
    expect(playground.box).to_be_focused()


def test_a_copy_is_announced(playground: Playground) -> None:
    playground.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    playground.ask(PYTHON)
    playground.button("Copy the answer", playground.last).click()
    expect(playground.page.locator("#announcer")).to_have_text("Copied")
