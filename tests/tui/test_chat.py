"""What happens when one types; the router is a fake."""

import asyncio
from pathlib import Path

import pytest
from textual import events
from textual.widgets import DirectoryTree, Input

from smart_router.client import RouterRefused, RouterUnreachable, StreamBroken
from smart_router.tui.app import _OF_THE_CHAT, ChatApp
from smart_router.tui.hints import Hints
from smart_router.tui.names import Names
from smart_router.tui.screens.choice import Choice
from smart_router.tui.screens.file import File
from smart_router.tui.screens.line import Line
from smart_router.tui.screens.reading import Reading
from tests.tui.driving import a_chat
from tests.tui.fakes import AGENT, FakeRouter, Reply, a_session

GONE = RouterUnreachable("there is no router at http://localhost:8001 (refused); start one with `smart-router serve`")


async def test_an_answer_streams_and_says_where_it_came_from() -> None:
    gate = asyncio.Event()
    async with a_chat(FakeRouter([Reply(["Rain ", "**falls**."], gate=gate)])) as chat:
        await chat.type("Write a haiku")
        await chat.press("enter")
        await chat.until(lambda: "answering" in "".join(chat.all("decision")), "it answers")
        assert chat.all("question") == ["Write a haiku"]
        assert "answering" in chat.app.session_list.get_option("chat-1").prompt.plain  # type: ignore[union-attr]
        gate.set()
        await chat.rest()
        assert "Rain falls." in chat.shown
        [line] = chat.all("decision")
        assert line.startswith(f"agent · {AGENT} · classified")
        assert line.replace("\n", " · ").endswith("first token 50 ms · total 100 ms")
        assert chat.router.asked == [
            ("Write a haiku", {"session_id": "chat-1", "attachments": None, "use_case": None, "max_tokens": 1024})
        ]
        assert chat.typed == ""


async def test_escape_stops_an_answer_and_what_has_come_stays() -> None:
    gate = asyncio.Event()
    async with a_chat(FakeRouter([Reply(["begun"]), Reply(gate=gate)])) as chat:
        await chat.send("first")
        await chat.type("second")
        await chat.press("enter")
        await chat.until(lambda: chat.turns[-1].decision, "it is decided")
        await chat.type("third")
        await chat.press("enter")
        assert "Esc" in chat.notice
        assert chat.typed == "third"
        await chat.press("escape")
        await chat.rest()
        assert [turn.state for turn in chat.turns] == ["done", "stopped"]
        assert chat.router.left == 1
        assert "stopped" in chat.all("decision")[-1]
        assert chat.typed == "third"


async def test_a_refusal_is_a_sentence_and_the_message_is_back_in_the_input() -> None:
    async with a_chat(FakeRouter([Reply(refuse=GONE), Reply(["Here."])])) as chat:
        await chat.send("Write a haiku\nabout rain")
        assert "there is no router" in chat.all("trouble")[0]
        assert "not there" in chat.lines[0]
        assert chat.typed == "Write a haiku\nabout rain"
        await chat.press("enter")
        await chat.rest()
        assert chat.all("trouble") == []
        assert chat.all("question") == ["Write a haiku\nabout rain"]
        assert "Here." in chat.shown
        assert "connected" in chat.lines[0]


async def test_a_connection_lost_in_mid_answer_keeps_what_came_and_what_was_typed() -> None:
    lost = StreamBroken("the answer broke off", "So far")
    async with a_chat(FakeRouter([Reply(["So far"], error=lost)])) as chat:
        await chat.send("Go on")
        assert "So far" in chat.shown
        assert "after 6 characters, which stay here: the connection was lost" in chat.all("trouble")[0]
        assert chat.typed == "Go on"
        await chat.press("enter")
        await chat.rest()
        assert chat.all("question") == ["Go on", "Go on"]


async def test_a_message_that_comes_back_does_not_overwrite_another_that_was_begun() -> None:
    gate = asyncio.Event()
    lost = StreamBroken("the answer broke off", "", RouterRefused(200, "upstream_broke", "the model server broke"))
    async with a_chat(FakeRouter([Reply(gate=gate, words=["x"], error=lost)])) as chat:
        await chat.type("one")
        await chat.press("enter")
        await chat.type("two")
        gate.set()
        await chat.rest()
        assert "the router says: the model server broke" in chat.all("trouble")[0]
        assert chat.typed == "two"
        await chat.press("up")
        assert chat.typed == "one"
        await chat.press("down")
        assert chat.typed == "two"


async def test_a_router_that_is_away_is_looked_for_until_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smart_router.tui.app.AGAIN_S", 0.05)
    async with a_chat(FakeRouter(down=GONE)) as chat:
        assert "there is no router" in chat.notice
        assert "not there" in chat.lines[0]
        await chat.type("typed meanwhile")
        chat.router.down = None
        await chat.until(lambda: chat.notice == "The router is there.", "it is found")
        assert "connected" in chat.lines[0]
        assert chat.typed == "typed meanwhile"


async def test_a_wrong_key_is_asked_for_and_the_message_waits() -> None:
    refused = RouterRefused(401, "unauthorized", "the key is unknown")
    async with a_chat(FakeRouter([Reply(refuse=refused), Reply(["In."])]), key="wrong") as chat:
        await chat.send("let me in")
        await chat.until(lambda: isinstance(chat.app.screen, Line), "a key is asked for")
        assert "the key is unknown" in chat.shown
        chat.app.screen.query_one(Input).value = "right"
        await chat.press("enter")
        await chat.rest()
        assert chat.router.keys == ["wrong", "right"]
        assert "right" not in chat.shown
        assert chat.typed == "let me in"
        await chat.press("enter")
        await chat.rest()
        assert "In." in chat.shown


async def test_sessions_are_those_of_this_run_and_the_routers() -> None:
    listed = [a_session("chat-1"), a_session("elsewhere", use_case="tts", request_count=1, pinned=True)]
    async with a_chat(FakeRouter([Reply(["Of the first."]), Reply(["Of the third."])], listed)) as chat:
        await chat.send("first")
        assert [option.id for option in chat.app.session_list.options] == ["chat-1", "elsewhere"]
        assert "tts · 1 turn · pinned" in chat.shown
        await chat.press("ctrl+n")
        await chat.rest()
        await chat.type("a draft")
        await chat.type("\n/no command")
        await chat.press("ctrl+b", "down", "enter")
        await chat.rest()
        assert chat.app.talk.id == "chat-1"
        assert "Of the first." in chat.shown
        assert chat.typed == ""
        await chat.press("ctrl+b", "down", "enter")
        await chat.rest()
        assert chat.app.talk.id == "elsewhere"
        assert "It remembers: go on" in chat.shown
        await chat.send("go on")
        assert chat.router.asked[-1][1]["session_id"] == "elsewhere"
        await chat.send("/session chat-2")
        assert chat.typed == "a draft\n/no command"


async def test_a_session_goes_on_while_another_is_shown() -> None:
    gate = asyncio.Event()
    async with a_chat(FakeRouter([Reply(["Slow answer."], gate=gate), Reply(["Quick answer."])])) as chat:
        await chat.type("slow")
        await chat.press("enter")
        await chat.press("ctrl+n")
        await chat.until(lambda: chat.app.talk.id == "chat-2", "another is open")
        await chat.type("quick")
        await chat.press("enter")
        await chat.until(lambda: "Quick answer." in chat.shown, "it is answered")
        assert "Slow" not in chat.shown
        gate.set()
        await chat.rest()
        assert "Slow" not in chat.shown
        await chat.send("/session chat-1")
        assert "Slow answer." in chat.shown


async def test_a_name_stays_after_the_run(tmp_path: Path) -> None:
    path = tmp_path / "state" / "names.json"
    async with a_chat(FakeRouter(), names=Names(path)) as chat:
        await chat.send("/rename Holidays [bold]")
        assert "Holidays [bold]" in chat.lines[0]
        await chat.send("/rename")
        assert isinstance(chat.app.screen, Line)
        chat.app.screen.query_one(Input).value = "Work"
        await chat.press("enter")
        await chat.rest()
    assert path.stat().st_mode & 0o777 == 0o600
    async with a_chat(FakeRouter(listed=[a_session("chat-1")]), names=Names(path)) as chat:
        assert "Work" in chat.shown
        await chat.send("/end")
        await chat.press("down", "enter")
        await chat.rest()
        assert dict(Names(path)) == {}


async def test_a_session_is_ended_after_a_question() -> None:
    async with a_chat(FakeRouter(listed=[a_session("chat-1"), a_session("other")])) as chat:
        await chat.press("ctrl+b", "d")
        assert isinstance(chat.app.screen, Choice)
        await chat.press("enter")  # keep it
        await chat.rest()
        assert chat.router.ended == []
        await chat.press("d", "down", "enter")
        await chat.rest()
        assert chat.router.ended == ["chat-1"]
        assert [option.id for option in chat.app.session_list.options] == ["chat-2", "other"]
        await chat.send("/end")
        await chat.press("down", "enter")
        await chat.rest()
        assert chat.notice == "Ended new session."  # which the router never knew


async def test_what_is_no_command_is_not_sent_and_not_lost() -> None:
    async with a_chat() as chat:
        await chat.send("/hlep me")
        assert "/hlep is no command" in chat.notice
        assert chat.typed == "/hlep me"
        chat.app.prompt.put("")
        await chat.send("/use-case nonsense")
        assert "nonsense is no use case of this router; there are agent" in chat.notice
        assert chat.router.asked == []


async def test_a_use_case_is_of_its_session_until_it_is_taken_back() -> None:
    async with a_chat() as chat:
        await chat.send("/use-case tts")
        await chat.send("speak")
        await chat.send("/new")
        await chat.send("hello")
        await chat.send("/session chat-1")
        await chat.send("/use-case auto")
        await chat.send("hello")
        assert [fields["use_case"] for _, fields in chat.router.asked] == ["tts", None, None]


async def test_commands_are_hinted_at_and_completed() -> None:
    async with a_chat() as chat:
        await chat.type("/se")
        assert "go to a session" in str(chat.app.query_one(Hints).content)
        assert chat.app.prompt.suggestion == "ssion "
        await chat.press("tab")
        assert chat.typed == "/session "
        chat.app.prompt.put("/use-case t")
        await chat.press("tab", "enter")
        await chat.rest()
        assert "tts only" in chat.lines[0]
        chat.app.prompt.put("/theme ")
        await chat.press("tab", "tab", "tab", "enter")
        assert chat.app.theme == "paper"
        await chat.press("tab")  # nothing to complete: on to what is next
        assert not chat.app.prompt.has_focus


async def test_enter_sends_and_ctrl_j_breaks_the_line() -> None:
    async with a_chat() as chat:
        await chat.press("enter")
        assert chat.router.asked == []
        await chat.type("one")
        await chat.press("ctrl+j", "x", "enter")
        await chat.rest()
        assert chat.router.asked[0][0] == "one\nx"
        await chat.press("up", "up")
        assert chat.typed == "one\nx"


async def test_a_file_goes_along_with_the_next_message_and_comes_back_with_it(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"\x89PNG")
    async with a_chat(FakeRouter([Reply(refuse=GONE)])) as chat:
        await chat.send(f"/attach {tmp_path / 'cat.png'}")
        assert "cat.png (image, 4 B)" in chat.shown
        await chat.send(f"/attach {tmp_path / 'dog.png'}")
        assert "there is no such file" in chat.notice
        await chat.send("What is it?")
        assert chat.router.asked[0][1]["attachments"][0].media_type == "image/png"
        assert [file.label for file in chat.app.talk.pending] == ["cat.png (image, 4 B)"]
        await chat.send("")
        assert len(chat.router.asked) == 2
        assert chat.app.talk.pending == ()


async def test_a_file_is_chosen_from_a_dialog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cat.png").write_bytes(b"\x89PNG")
    (tmp_path / "notes.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    async with a_chat() as chat:
        await chat.press("ctrl+o")
        assert isinstance(chat.app.screen, File)
        await chat.until(lambda: "cat.png" in chat.shown, "the folder is shown")
        assert "notes.txt" not in chat.shown
        chat.app.screen.query_one(DirectoryTree).focus()
        await chat.press("down", "enter")
        await chat.rest()
        assert [file.label for file in chat.app.talk.pending] == ["cat.png (image, 4 B)"]
        await chat.press("ctrl+o", *"cat.png", "enter")
        await chat.rest()
        await chat.send("/attach none")
        assert chat.app.talk.pending == ()


async def test_why_explains_the_last_decision() -> None:
    async with a_chat(size=(90, 40)) as chat:
        await chat.send("/why")
        assert "Nothing was decided" in chat.notice
        await chat.send("Write a haiku")
        await chat.send("/why")
        await chat.until(lambda: isinstance(chat.app.screen, Reading), "it is explained")
        await chat.pilot.pause()
        assert "the encoder decided" in chat.shown
        assert "Scores" in chat.shown
        await chat.press("escape")
        chat.router.down = GONE
        await chat.send("/why")
        await chat.until(lambda: isinstance(chat.app.screen, Reading), "it is explained")
        await chat.pilot.pause()
        assert "The scores cannot be had" in chat.shown


async def test_a_theme_is_tried_before_it_is_chosen() -> None:
    async with a_chat() as chat:
        await chat.press("ctrl+t", "down", "down")
        await chat.pilot.pause()
        assert chat.app.theme == "paper"
        await chat.press("escape")
        assert chat.app.theme == "night"
        await chat.press("ctrl+t", "down", "enter")
        assert chat.app.theme == "ember"
        await chat.send("/theme neon")
        assert "there is no theme neon; there are night, ember, paper, mist, terminal" in chat.notice


async def test_ctrl_l_clears_what_is_shown_and_the_session_goes_on() -> None:
    async with a_chat() as chat:
        await chat.send("hello")
        await chat.press("ctrl+l")
        await chat.rest()
        assert chat.all("question") == []
        await chat.send("again")
        assert [fields["session_id"] for _, fields in chat.router.asked] == ["chat-1", "chat-1"]


async def test_help_names_every_key_and_command() -> None:
    async with a_chat(size=(100, 60)) as chat:
        await chat.press("f1")
        await chat.pilot.pause()
        assert "Ctrl+Q" in chat.shown
        assert "/use-case [ID|auto]" in chat.shown


async def test_ctrl_q_quits_from_everywhere_and_ctrl_c_nowhere() -> None:
    async with a_chat() as chat:
        await chat.press("ctrl+c")
        assert "Ctrl+Q" in chat.notice
        await chat.press("f1", "ctrl+q")
        await chat.until(lambda: chat.app._exit, "it quits")
    assert chat.app.return_code == 0
    assert chat.router.closed == 1


async def test_all_of_it_fits_into_a_small_terminal_without_a_mouse() -> None:
    async with a_chat(FakeRouter(listed=[a_session("other")]), size=(60, 20)) as chat:
        assert not chat.app.session_list.display or chat.app.session_list.size.width == 0
        await chat.send("hello")
        assert "Hello." in chat.shown
        assert "total 100 ms" in chat.shown
        assert "Quit" in chat.lines[-1]
        assert "Help" in chat.lines[-1]
        await chat.press("ctrl+b")
        await chat.pilot.pause()
        assert "other" in chat.shown
        await chat.press("escape")
        await chat.pilot.pause()
        assert "other" not in chat.shown
        assert chat.app.prompt.has_focus
        for _ in range(6):
            await chat.send("hello")
        await chat.press("pageup", "pageup")
        await chat.pilot.pause()
        assert "total 100 ms" not in chat.lines[-6]
        top = chat.app.transcript.scroll_y
        await chat.press("ctrl+o")
        await chat.until(lambda: "Attach" in chat.shown, "the dialog fits")
        await chat.press("escape", "pagedown", "pagedown")
        await chat.pilot.pause()
        assert chat.app.transcript.scroll_y > top


async def test_troubles_with_themes_are_told_at_the_start() -> None:
    async with a_chat(troubles=("a.yaml: [colors: is wrong",)) as chat:
        assert "a.yaml: [colors: is wrong" in chat.shown


async def test_what_is_pasted_steers_no_terminal() -> None:
    async with a_chat() as chat:
        chat.app.post_message(events.Paste("pasted \x1b[2Jtext"))
        await chat.pilot.pause()
        assert chat.typed == "pasted [2Jtext"


def test_keys_of_the_chat_are_off_in_dialogs() -> None:
    actions = {binding.action for binding in ChatApp.BINDINGS if not isinstance(binding, tuple)}
    assert actions - {"quit"} == _OF_THE_CHAT
