"""The chat on a real router, with the real client."""

import uuid
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx2
import pytest
from textual.widgets import Input

from smart_router.client import AsyncClient
from smart_router.tui.screens.line import Line
from tests.e2e.models import Models
from tests.e2e.routers import KEY, a_registry, running_router
from tests.tui.driving import Chat, a_chat

PICTURE = bytes.fromhex("89504e470d0a1a0a")


@pytest.fixture(autouse=True)
def well(models: Models) -> Iterator[None]:
    yield
    models.reset()


def on(url: str, session: str | None = None, key: str | None = None) -> AbstractAsyncContextManager[Chat]:
    return a_chat(
        connect=lambda key: AsyncClient(url, key, retries=0),
        url=url,
        key=key,
        session=session or f"tui-{uuid.uuid4().hex}",
    )


async def test_a_conversation_is_classified_bypassed_and_switched(router_url: str, tmp_path: Path) -> None:
    (tmp_path / "shot.png").write_bytes(PICTURE)
    async with on(router_url) as chat:
        assert "connected" in chat.lines[0]
        await chat.send("Write a Python function to sort a list")
        await chat.send("Add error handling to that function")
        await chat.send(f"/attach {tmp_path / 'shot.png'}")
        await chat.send("What is wrong in this screenshot?")
        decided = [turn.decision for turn in chat.turns if turn.decision]
        assert [(d.use_case, d.bypass_used, d.context_changed) for d in decided] == [
            ("agent", False, False),
            ("agent", True, False),
            ("multimodal", False, True),
        ]
        assert [turn.state for turn in chat.turns] == ["done", "done", "done"]
        assert all(turn.text and turn.answer and turn.total_s for turn in chat.turns)
        chat.app.prompt.put("/use-case av")
        await chat.press("tab")
        assert chat.typed == "/use-case avatar"
        chat.app.prompt.put("")
        await chat.send("/why")
        await chat.rest()
        assert "Asked again now" in chat.shown


async def test_an_answer_can_be_stopped_and_a_broken_one_be_asked_again(router_url: str, models: Models) -> None:
    async with on(router_url) as chat:
        models.agent.fail("stall-mid-stream")
        await chat.type("Write a Python function to sort a list")
        await chat.press("enter")
        await chat.until(lambda: chat.turns[-1].text, "its first word")
        await chat.press("escape")
        await chat.rest()
        assert [turn.state for turn in chat.turns] == ["stopped"]
        models.agent.wait_for_running(0)
        models.reset()
        models.agent.fail("reset-mid-stream")
        await chat.send("Write it again")
        assert "The answer broke off after" in chat.all("trouble")[-1]
        assert chat.typed == "Write it again"
        models.reset()
        await chat.press("enter")
        await chat.rest()
        assert [turn.state for turn in chat.turns] == ["stopped", "failed", "done"]


async def test_a_session_that_was_ended_elsewhere_is_told(router_url: str) -> None:
    session = f"tui-{uuid.uuid4().hex}"
    async with on(router_url, session) as chat:
        await chat.send("Write a Python function to sort a list")
        httpx2.delete(f"{router_url}/sessions/{session}", trust_env=False).raise_for_status()
        await chat.send("Add error handling to that function")
        assert "ended elsewhere" in chat.all("note")[0]
        await chat.send("/end")
        await chat.press("down", "enter")
        await chat.rest()
        assert chat.notice.startswith("Ended ")


async def test_a_wrong_key_is_asked_for_and_nothing_typed_is_lost(models: Models, tmp_path: Path) -> None:
    with running_router(a_registry(tmp_path, models.endpoints), api_key=KEY) as router:
        async with on(router.url, key="wrong") as chat:
            assert isinstance(chat.app.screen, Line)  # at once
            await chat.press("escape")
            await chat.send("Write a Python function to sort a list")
            await chat.until(lambda: isinstance(chat.app.screen, Line), "a key is asked for again")
            assert chat.typed == "Write a Python function to sort a list"
            chat.app.screen.query_one(Input).value = KEY
            await chat.press("enter")
            await chat.rest()
            await chat.press("enter")
            await chat.rest()
            assert chat.turns[-1].state == "done"


async def test_a_router_that_is_not_there_or_is_none_is_told(models: Models) -> None:
    async with on("http://127.0.0.1:9") as chat:
        assert "there is no router at http://127.0.0.1:9" in " ".join(chat.notice.split())
        await chat.send("hello")
        assert chat.typed == "hello"
    async with on(models.agent.url) as chat:
        assert "smart-router" in chat.notice


async def test_the_routers_own_list_of_sessions_is_shown_and_gone_on_with(router_url: str) -> None:
    session = f"tui-{uuid.uuid4().hex}"
    asked = {"query": "Write a Python function to sort a list", "session_id": session}
    httpx2.post(f"{router_url}/route", json=asked, trust_env=False).raise_for_status()
    async with on(router_url) as chat:
        assert session in [option.id for option in chat.app.session_list.options]
        await chat.send(f"/session {session}")
        assert "agent, 1 turn so far" in chat.shown
        await chat.send("Add error handling to that function")
        [decision] = [turn.decision for turn in chat.turns if turn.decision]
        assert (decision.bypass_used, decision.new_session) == (True, False)
        assert chat.all("note") == []
