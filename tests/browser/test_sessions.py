"""Sessions in the side list, and what this browser keeps of them."""

import json

from playwright.sync_api import expect

from tests.e2e.asking import ALOUD, FOLLOW_UP, PYTHON
from tests.e2e.models import Models, Recorder
from tests.e2e.routers import KEY, Router

from .conftest import Opener
from .playground import Playground
from .speaking import Pause, speaks

SHELF = "smart-router/session/"


def its_id(playground: Playground) -> str:
    return next(name for name in playground.stored() if name.startswith(SHELF)).removeprefix(SHELF)


def test_a_session_is_named_after_its_first_words_and_can_be_renamed(playground: Playground) -> None:
    playground.ask(PYTHON)
    heading = playground.page.get_by_role("heading", level=1)
    expect(heading).to_have_text(PYTHON)
    playground.more(PYTHON)
    playground.button("Rename", playground.side).click()
    name = playground.page.get_by_label("Name of the session")
    name.fill("छँटाई")
    name.press("Enter")
    expect(heading).to_have_text("छँटाई")
    playground.reload()
    expect(heading).to_have_text("छँटाई")
    playground.more("छँटाई")
    playground.button("Rename", playground.side).click()
    playground.page.get_by_label("Name of the session").fill("another")
    playground.page.keyboard.press("Escape")
    expect(heading).to_have_text("छँटाई")


def test_pinned_sessions_come_first(playground: Playground) -> None:
    playground.ask("Hello there")
    playground.button("New session Ctrl K").click()
    playground.ask("Another matter")
    titles = playground.side.locator(".session-title")
    expect(titles).to_have_text(["Another matter", "Hello there"])
    playground.more("Hello there")
    playground.button("Pin", playground.side).click()
    expect(titles).to_have_text(["Hello there", "Another matter"])
    expect(playground.side.get_by_role("heading", name="Pinned")).to_be_visible()
    playground.reload()
    expect(titles).to_have_text(["Hello there", "Another matter"])
    playground.more("Hello there")
    playground.button("Unpin", playground.side).click()
    expect(titles).to_have_text(["Another matter", "Hello there"])


def test_a_session_can_be_kept_on_its_use_case_and_let_go(playground: Playground, router: Router) -> None:
    playground.ask(PYTHON)
    playground.more(PYTHON)
    playground.button("Keep on agent", playground.side).click()
    expect(playground.side).to_contain_text("kept on agent")
    assert router.session(its_id(playground))["pinned"] is True
    turn = playground.ask(ALOUD)
    expect(turn.get_by_role("list", name="Decision")).to_contain_text("agent")
    playground.button("Let the router choose", playground.side).click()
    expect(playground.button("Keep on agent", playground.side)).to_be_visible()
    assert router.session(its_id(playground))["pinned"] is False


def test_a_router_that_cannot_keep_a_session_is_told_so(playground: Playground) -> None:
    playground.ask(PYTHON)
    playground.watch.provoked(405)
    playground.instead("/sessions/*", 405, '{"error_message": "takes GET", "error_code": "method_not_allowed"}')
    playground.more(PYTHON)
    playground.button("Keep on agent", playground.side).click()
    expect(playground.notices).to_contain_text("This router is older than that")


def test_ending_a_session_ends_it_at_the_router(playground: Playground, router: Router) -> None:
    playground.ask(PYTHON)
    session = its_id(playground)
    assert router.knows(session)
    playground.more(PYTHON)
    playground.button("End", playground.side).click()
    playground.button("Cancel").click()
    expect(playground.turns).to_have_count(1)
    playground.button("End", playground.side).click()
    playground.button("End it").click()
    expect(playground.turns).to_have_count(0)
    assert not router.knows(session)
    assert not any(PYTHON in text for text in playground.stored().values())


def test_a_session_that_was_ended_elsewhere_ends_here_without_complaint(playground: Playground, router: Router) -> None:
    playground.ask(PYTHON)
    router.http.delete(f"/sessions/{its_id(playground)}").raise_for_status()
    playground.watch.provoked(404)
    playground.more(PYTHON)
    playground.button("End", playground.side).click()
    playground.button("End it").click()
    expect(playground.turns).to_have_count(0)
    expect(playground.notices).to_be_empty()


def test_going_on_in_a_session_that_was_ended_elsewhere_says_that_the_model_has_forgotten(
    playground: Playground, router: Router
) -> None:
    playground.ask(PYTHON)
    router.http.delete(f"/sessions/{its_id(playground)}").raise_for_status()
    turn = playground.ask(FOLLOW_UP)
    expect(turn).to_contain_text("The router no longer knew this session")
    expect(playground.turns.first).not_to_contain_text("no longer knew")


def test_transcripts_survive_a_reload_with_their_decisions(playground: Playground) -> None:
    playground.ask(PYTHON)
    playground.ask(FOLLOW_UP)
    playground.reload()
    expect(playground.turns).to_have_count(2)
    expect(playground.last.get_by_role("list", name="Decision")).to_contain_text("bypassed")
    expect(playground.last.get_by_role("list", name="Times")).to_contain_text("routing")
    playground.ask("make it shorter")
    expect(playground.answer).to_contain_text("4 earlier messages")


def test_a_reload_in_mid_stream_keeps_what_had_come_and_asks_again(spoken: Playground, model: Recorder) -> None:
    pause = Pause()
    speaks(model, "Once ", "upon ", pause, "a time.")
    spoken.send("Tell me a story")
    expect(spoken.answer).to_have_text("Once upon")
    spoken.box.fill("and then?")
    spoken.reload()
    expect(spoken.last).to_have_attribute("data-state", "interrupted")
    expect(spoken.answer).to_have_text("Once upon")
    expect(spoken.last).to_contain_text("Interrupted: the page was closed or reloaded.")
    expect(spoken.box).to_have_value("and then?")
    pause.go()
    speaks(model, "Once upon a time.")
    spoken.button("Ask again").click()
    expect(spoken.answer).to_have_text("Once upon a time.")
    expect(spoken.last).to_have_attribute("data-state", "done")


def test_an_interrupted_turn_whose_file_is_gone_comes_back_into_the_box(spoken: Playground, model: Recorder) -> None:
    pause = Pause()
    speaks(model, "A ", pause, "dot.")
    spoken.attach("note.wav", "audio/wav", b"RIFF1234")
    spoken.send("What is said?")
    expect(spoken.answer).to_have_text("A")
    spoken.reload()
    pause.go()
    spoken.button("Ask again").click()
    expect(spoken.box).to_have_value("What is said?")
    expect(spoken.notices).to_contain_text("attach again")
    expect(spoken.turns).to_have_count(0)


def test_each_session_keeps_its_own_draft(playground: Playground) -> None:
    playground.ask(PYTHON)
    playground.box.fill("half a thought")
    playground.page.keyboard.press("Control+k")
    expect(playground.box).to_have_value("")
    playground.box.fill("another thought")
    playground.side.get_by_role("button", name=PYTHON).first.click()
    expect(playground.box).to_have_value("half a thought")
    playground.reload()
    expect(playground.box).to_have_value("half a thought")


def test_damaged_storage_is_dropped_with_a_notice(opener: Opener, router: Router) -> None:
    playground = opener(router.url)
    playground.ask(PYTHON)
    playground.page.evaluate(f"""() => {{
        localStorage.setItem('{SHELF}a', '{{"version": 1, "turns": "x"}}');
        localStorage.setItem('{SHELF}b', 'not JSON');
        localStorage.setItem('{SHELF}c', JSON.stringify({{version: 1, id: 'c', turns: [{{id: 1}}]}}));
        localStorage.setItem('smart-router/preferences', '[]]');
    }}""")
    playground.reload()
    expect(playground.notices).to_contain_text("3 transcripts were dropped")
    expect(playground.turns).to_have_count(1)
    assert not any(name.startswith(SHELF) and name.removeprefix(SHELF) in "abc" for name in playground.stored())


def test_a_full_storage_drops_the_oldest_and_loses_nothing_of_what_is_shown(playground: Playground) -> None:
    playground.ask("An old matter " + "x" * 3000)
    playground.button("New session Ctrl K").click()
    playground.page.evaluate("""() => {
        let size = 4 * 1024 * 1024;
        for (let i = 0; size > 4; i += 1)
            try { localStorage.setItem('other' + i, 'x'.repeat(size)); } catch { size = Math.floor(size / 2); }
    }""")
    playground.ask(PYTHON)
    expect(playground.notices).to_contain_text("storage was full")
    expect(playground.turns).to_have_count(1)
    playground.button("New session Ctrl K").click()
    for _ in range(2):
        playground.ask("A long one " + "x" * 3000)
    expect(playground.notices).to_contain_text("keeps nothing more")
    expect(playground.turns).to_have_count(2)


def test_one_button_forgets_all_that_is_kept_here(playground: Playground) -> None:
    playground.ask(PYTHON)
    playground.box.fill("a draft")
    playground.button("Settings").click()
    playground.button("Forget everything here").click()
    playground.button("Forget everything", playground.page.get_by_role("dialog")).click()
    expect(playground.turns).to_have_count(0)
    expect(playground.box).to_have_value("")
    kept = playground.stored()
    assert not any(PYTHON in text or "draft" in text for text in kept.values()), kept
    playground.reload()
    expect(playground.turns).to_have_count(0)


def test_the_key_is_in_memory_alone(keyed: Playground, models: Models) -> None:
    expect(keyed.panel).to_contain_text("whoever has the router's key")
    keyed.watch.provoked(401)
    keyed.send(PYTHON)
    expect(keyed.last).to_contain_text("This router asks for a key.")
    keyed.button("Enter the key", keyed.last).click()
    keyed.page.get_by_label("Key", exact=True).fill(KEY)
    keyed.button("Use it").click()
    expect(keyed.last).to_have_attribute("data-state", "done")
    expect(keyed.panel).to_contain_text("Bypass rate")
    assert KEY not in json.dumps(keyed.stored())
    assert KEY not in "".join(keyed.watch.urls) and KEY not in keyed.page.content()
    assert keyed.page.evaluate("async () => (await indexedDB.databases()).length + (await caches.keys()).length") == 0
    assert keyed.page.context.cookies() == []
    keyed.reload()
    expect(keyed.panel).to_contain_text("whoever has the router's key")
    keyed.ask(FOLLOW_UP, state="failed")


def test_files_bytes_are_not_kept(playground: Playground) -> None:
    playground.attach("note.wav", "audio/wav", b"RIFF" + b"secret-sound" * 20)
    playground.ask("What is said?")
    assert "c2VjcmV0LXNvdW5k" not in json.dumps(playground.stored())
    assert "note.wav" in json.dumps(playground.stored())


def test_that_there_is_no_room_is_told_once(spoken: Playground, model: Recorder) -> None:
    spoken.page.evaluate("""() => {
        let size = 4 * 1024 * 1024;
        for (let i = 0; size > 4; i += 1)
            try { localStorage.setItem('other' + i, 'x'.repeat(size)); } catch { size = Math.floor(size / 2); }
    }""")
    speaks(model, "Once ", first := Pause(), "upon ", second := Pause(), "a time.")
    spoken.send("Tell me a story")
    expect(spoken.notices).to_contain_text("keeps nothing more")
    spoken.button("Dismiss").click()
    first.go()
    expect(spoken.answer).to_have_text("Once upon")
    second.go()
    expect(spoken.last).to_have_attribute("data-state", "done")
    expect(spoken.notices).to_be_empty()


def test_of_a_long_session_the_latest_turns_are_drawn_and_the_others_on_demand(playground: Playground) -> None:
    playground.ask(PYTHON)
    playground.page.evaluate("""() => {
        const name = Object.keys(localStorage).find((one) => one.includes('/session/'));
        const kept = JSON.parse(localStorage.getItem(name));
        const [turn] = kept.turns;
        kept.turns = Array.from({length: 100}, (_, i) => ({...turn, id: `t${i}`, query: `question ${i}.`}));
        localStorage.setItem(name, JSON.stringify(kept));
    }""")
    playground.reload()
    expect(playground.turns).to_have_count(40)
    expect(playground.last).to_contain_text("question 99.")
    playground.button("Show 40 of 60 earlier turns").press("Enter")
    expect(playground.turns).to_have_count(80)
    expect(playground.button("Show 20 of 20 earlier turns")).to_be_focused()
    playground.page.keyboard.press("Enter")
    expect(playground.turns).to_have_count(100)
    expect(playground.turns.first).to_contain_text("question 0.")
    playground.ask(FOLLOW_UP)
    expect(playground.turns).to_have_count(101)
