"""Sending, streaming, stopping, switching, and what each answer says of its route."""

import re

from playwright.sync_api import expect

from tests.e2e.asking import ALOUD, FOLLOW_UP, PYTHON
from tests.e2e.models import Models, Recorder
from tests.e2e.routers import Router, in_flight, until

from .conftest import Opener
from .playground import UNDER_WAY, Playground, text_of
from .speaking import Pause, falls_silent, says, speaks


def test_an_answer_shows_where_it_came_from_and_how_long_it_took(playground: Playground) -> None:
    turn = playground.ask(PYTHON)
    expect(playground.answer).to_contain_text(f"You said: {PYTHON}")
    decision = text_of(turn.get_by_role("list", name="Decision"))
    assert re.search(r"agent .*Qwen2\.5-7B-Instruct .*classified .*\d+ %", decision), decision
    assert "bypassed" not in decision
    times = text_of(turn.get_by_role("list", name="Times"))
    assert re.search(r"routing [\d.]+ m?s first word [\d.]+ m?s total [\d.]+ m?s tokens \d+", times), times


def test_a_follow_up_shows_that_the_classifier_was_skipped(playground: Playground) -> None:
    playground.ask(PYTHON)
    turn = playground.ask(FOLLOW_UP)
    expect(turn.get_by_role("list", name="Decision")).to_contain_text("bypassed")
    expect(playground.answer).to_contain_text("2 earlier messages")


def test_a_change_of_context_shows_where_it_came_from(playground: Playground) -> None:
    playground.ask(PYTHON)
    turn = playground.ask(ALOUD)
    expect(turn.get_by_role("list", name="Decision")).to_contain_text(
        re.compile("tts.*switched.*from agent", re.DOTALL)
    )


def test_words_are_shown_as_they_come(spoken: Playground, model: Recorder) -> None:
    pause = Pause()
    speaks(model, "Once ", "upon ", pause, "a time.")
    spoken.send("Tell me a story")
    expect(spoken.answer).to_have_text("Once upon")
    expect(spoken.last).to_have_attribute("data-state", "streaming")
    expect(spoken.last.get_by_role("list", name="Decision")).to_contain_text("agent")
    pause.go()
    expect(spoken.answer).to_have_text("Once upon a time.")
    expect(spoken.last).to_have_attribute("data-state", "done")


def test_the_stop_button_ends_the_request_at_the_model(
    spoken: Playground, model: Recorder, spoken_router: Router
) -> None:
    falls_silent(model, "Once ")
    spoken.send("Tell me a story")
    expect(spoken.answer).to_have_text("Once")
    spoken.button("Stop").click()
    expect(spoken.last).to_have_attribute("data-state", "stopped")
    expect(spoken.last).to_contain_text("Stopped.")
    assert model.closed.wait(20)
    until(lambda: in_flight(spoken_router) == 0)
    expect(spoken.box).to_be_focused()


def test_escape_stops_and_asking_again_answers(spoken: Playground, model: Recorder) -> None:
    falls_silent(model, "Once ")
    spoken.send("Tell me a story")
    expect(spoken.answer).to_have_text("Once")
    spoken.page.keyboard.press("Escape")
    expect(spoken.last).to_have_attribute("data-state", "stopped")
    says(model, "Once upon a time.")
    spoken.button("Ask again").click()
    expect(spoken.answer).to_have_text("Once upon a time.")
    expect(spoken.turns).to_have_count(1)


def test_an_answer_goes_on_while_another_session_is_looked_at(spoken: Playground, model: Recorder) -> None:
    pause = Pause()
    speaks(model, "Once ", pause, "upon a time.")
    spoken.send("Tell me a story")
    expect(spoken.answer).to_have_text("Once")
    spoken.page.keyboard.press("Control+k")
    expect(spoken.turns).to_have_count(0)
    says(model, "Four.")
    spoken.ask("What is two and two?")
    pause.go()
    spoken.side.get_by_role("button", name="Tell me a story").first.click()
    expect(spoken.answer).to_have_text("Once upon a time.")
    expect(spoken.turns).to_have_count(1)
    first, second = (request.json for request in model.requests)
    assert "two and two" not in str(first) and "story" not in str(second)


def test_shift_enter_begins_a_line_and_enter_sends(playground: Playground, models: Models) -> None:
    playground.box.focus()
    playground.page.keyboard.type("one")
    playground.page.keyboard.press("Shift+Enter")
    playground.page.keyboard.type("two")
    expect(playground.box).to_have_value("one\ntwo")
    playground.page.keyboard.press("Enter")
    expect(playground.last).to_have_attribute("data-state", "done")
    assert playground.last.locator(".asked p").first.text_content() == "one\ntwo"


def test_enter_sends_no_word_that_is_still_being_composed(playground: Playground) -> None:
    playground.box.fill("नमस्ते")
    playground.box.evaluate(
        "box => box.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true}))"
    )
    expect(playground.turns).to_have_count(0)
    expect(playground.box).to_have_value("नमस्ते")


def test_nothing_is_sent_of_an_empty_box(playground: Playground) -> None:
    playground.box.fill("   ")
    playground.box.press("Enter")
    expect(playground.notices).to_contain_text("There is nothing to send yet")
    expect(playground.turns).to_have_count(0)


def test_an_explicit_use_case_is_obeyed_and_stays_with_its_session(playground: Playground) -> None:
    choice = playground.page.get_by_label("Use case", exact=True)
    choice.select_option("video")
    turn = playground.ask(PYTHON)
    expect(turn.get_by_role("list", name="Decision")).to_contain_text(re.compile("video.*chosen", re.DOTALL))
    playground.button("New session Ctrl K").click()
    expect(choice).to_have_value("")
    playground.side.get_by_role("button", name=PYTHON).first.click()
    expect(choice).to_have_value("video")


def test_settings_reach_the_model_and_their_absence_leaves_the_routers_own(
    playground: Playground, models: Models
) -> None:
    playground.ask("Hello")
    assert models.agent.received()[-1]["max_tokens"] == 100
    playground.button("Settings").click()
    playground.page.get_by_label("Longest answer, in tokens").fill("7")
    playground.page.get_by_label("Temperature").fill("1.5")
    playground.page.keyboard.press("Escape")
    playground.ask("Hello again")
    sent = models.agent.received()[-1]
    assert (sent["max_tokens"], sent["temperature"]) == (7, 1.5)
    expect(playground.last).to_contain_text("Cut off at the limit of tokens")


def test_what_may_not_be_remembered_is_not_told_to_the_model_again(playground: Playground, models: Models) -> None:
    playground.button("Settings").click()
    playground.page.get_by_label("The router remembers what is said").uncheck()
    playground.page.keyboard.press("Escape")
    playground.ask("My name is Asha")
    playground.ask("What is my name?")
    assert "Asha" not in str(models.agent.received()[-1])


def test_why_shows_scores_cues_and_the_lanes_of_the_session(playground: Playground, models: Models) -> None:
    turn = playground.ask(PYTHON)
    playground.button("Why this route?", turn).click()
    panel = turn.locator(".why-panel")
    expect(panel).to_contain_text("The classifier read the words")
    expect(panel.locator(".bar-name", has_text="agent")).to_be_visible()
    expect(panel).to_contain_text(f"warm at {models.agent.url}")
    turn = playground.ask(FOLLOW_UP)
    playground.button("Why this route?", turn).click()
    expect(turn.locator(".why-panel")).to_contain_text("the classifier was skipped")


def test_another_model_in_its_place_is_named(playground: Playground) -> None:
    decision = {
        "use_case": "agent",
        "selected_model": "spare/model",
        "fallback_from": "first/choice",
        "reason": "session",
    }
    playground.streams(("route", decision), ("", {"delta": "Hello."}), ("done", {"total_time": 0.2}))
    playground.ask("Hello")
    expect(playground.last.get_by_role("list", name="Decision")).to_contain_text("instead of choice")


def test_two_tabs_show_the_same_sessions(opener: Opener, router: Router) -> None:
    first = opener(router.url)
    first.ask(PYTHON)
    page = first.page.context.new_page()
    first.watch.over(page)
    second = Playground(page, first.watch, router.url)
    second.open()
    expect(second.turns).to_have_count(1)
    second.ask(FOLLOW_UP)
    expect(first.turns).to_have_count(2)
    expect(first.page.locator(UNDER_WAY)).to_have_count(0)
    second.more(PYTHON)
    second.button("End", second.side).click()
    second.button("End it").click()
    expect(first.turns).to_have_count(0)


def test_enter_sends_no_word_that_a_mac_has_just_composed(playground: Playground) -> None:
    """Safari ends the composition before it tells of the Enter that did; what is left of it is the code 229."""
    playground.box.fill("नमस्ते")
    playground.box.evaluate(
        "box => box.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', keyCode: 229, bubbles: true}))"
    )
    expect(playground.turns).to_have_count(0)
    expect(playground.box).to_have_value("नमस्ते")


def test_lanes_that_could_not_be_asked_for_are_not_said_to_be_gone(playground: Playground) -> None:
    playground.ask(PYTHON)
    playground.watch.provoked(503)
    playground.instead("/sessions/*", 503, '{"error_message": "the store is away", "error_code": "store_unavailable"}')
    playground.button("Why this route?", playground.last).click()
    expect(playground.last.locator(".why-panel")).to_contain_text("The store is away.")
    expect(playground.last.locator(".why-panel")).not_to_contain_text("no longer has this session")
