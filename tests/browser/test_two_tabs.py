"""One storage, several pages: nothing is lost, and nothing is said that is not so."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.e2e.asking import FOLLOW_UP, PYTHON
from tests.e2e.models import Recorder

from .playground import Playground
from .speaking import Pause, says, speaks

Another = Callable[[Playground], Playground]


@pytest.fixture
def another() -> Another:
    """A second tab beside the first."""

    def open_tab(first: Playground) -> Playground:
        page = first.page.context.new_page()
        first.watch.over(page)
        second = Playground(page, first.watch, first.url)
        second.open()
        return second

    return open_tab


def test_what_is_asked_in_both_at_once_is_kept_whole_in_both(
    spoken: Playground, model: Recorder, another: Another
) -> None:
    speaks(model, "Once ", pause := Pause(), "upon a time.")
    spoken.send("Tell me a story")
    expect(spoken.answer).to_have_text("Once")
    second = another(spoken)
    expect(second.answer).to_have_text("Once")
    says(model, "Four.")
    second.ask("What is two and two?")
    expect(spoken.turns).to_have_count(2)
    pause.go()
    for tab in (spoken, second):
        expect(tab.turns.nth(0)).to_have_attribute("data-state", "done")
        expect(tab.turns.nth(0).locator(".prose")).to_have_text("Once upon a time.")
        expect(tab.turns.nth(1).locator(".prose")).to_have_text("Four.")
    spoken.reload()
    expect(spoken.turns.nth(0).locator(".prose")).to_have_text("Once upon a time.")
    expect(spoken.turns.nth(1).locator(".prose")).to_have_text("Four.")


def test_an_answer_under_way_in_the_other_is_not_called_interrupted(
    spoken: Playground, model: Recorder, another: Another
) -> None:
    says(model, "Hello.")
    spoken.ask("Hello")
    second = another(spoken)
    speaks(model, "Once ", pause := Pause(), "upon a time.")
    spoken.send("Tell me a story")
    expect(second.answer).to_have_text("Once")
    expect(second.last).to_contain_text("answered in another tab")
    expect(second.last).not_to_contain_text("closed or reloaded")
    pause.go()
    expect(second.answer).to_have_text("Once upon a time.")
    expect(second.last).to_have_attribute("data-state", "done")


def test_what_the_other_does_moves_neither_the_caret_nor_the_page(playground: Playground, another: Another) -> None:
    playground.ask(PYTHON)
    playground.box.fill("hello world")
    playground.box.evaluate("box => box.setSelectionRange(2, 2)")
    playground.button("Why this route?", playground.last).click()
    second = another(playground)
    second.more(PYTHON)
    second.button("Pin", second.side).click()
    expect(playground.side.get_by_role("heading", name="Pinned")).to_be_visible()
    assert playground.box.evaluate("box => box.selectionStart") == 2
    expect(playground.last.locator(".why-panel")).to_be_visible()


def test_a_session_with_a_draft_stays_though_the_other_dropped_it(playground: Playground, another: Another) -> None:
    playground.ask(PYTHON)
    second = another(playground)
    playground.box.fill("half a thought")
    expect(second.turns).to_have_count(1)
    second.more(PYTHON)
    second.button("End", second.side).click()
    second.button("End it").click()
    expect(second.turns).to_have_count(0)
    playground.page.wait_for_function("() => !Object.keys(localStorage).some((name) => name.includes('/session/'))")
    expect(playground.box).to_have_value("half a thought")


def test_what_was_erased_does_not_come_back(playground: Playground) -> None:
    kept = "Object.values(localStorage).some((text) => text.includes('a secret'))"
    playground.box.fill("a secret")
    playground.page.wait_for_function(f"() => {kept}")
    playground.box.fill("")
    playground.page.wait_for_function(f"() => !{kept}")
    playground.reload()
    expect(playground.box).to_have_value("")


def test_a_page_that_comes_back_is_not_busy_for_ever(spoken: Playground, model: Recorder) -> None:
    """A browser may freeze a page that is left, end its requests, and show it again as it was."""
    speaks(model, "Once ", pause := Pause(), "upon a time.")
    spoken.send("Tell me a story")
    expect(spoken.answer).to_have_text("Once")
    spoken.page.evaluate("() => dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    spoken.button("Stop").click()  # the request ends, as if the browser had ended it
    spoken.page.evaluate("() => dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    pause.go()
    expect(spoken.last).to_have_attribute("data-state", "interrupted")
    says(model, "Four.")
    spoken.ask("What is two and two?")


def test_a_session_that_began_anew_is_no_longer_called_kept(playground: Playground) -> None:
    playground.ask(PYTHON)
    playground.more(PYTHON)
    playground.button("Keep on agent", playground.side).click()
    expect(playground.side).to_contain_text("kept on agent")
    url = playground.url
    id = next(name for name in playground.stored() if "/session/" in name).rpartition("/")[2]
    playground.page.request.delete(f"{url}/sessions/{id}")
    playground.ask(FOLLOW_UP)
    expect(playground.side).not_to_contain_text("kept on agent")
