"""
Scenes of the chat, drawn: for the snapshots, and for the documents.

`python -m tests.tui.pictures` draws docs/images/chat-*.svg anew.
"""

import asyncio
import re
from collections.abc import Iterator
from itertools import accumulate, chain, repeat
from pathlib import Path

from smart_router.client import Attachment, RouterUnreachable
from smart_router.tui.turns import Attached
from tests.tui.driving import Chat, a_chat
from tests.tui.fakes import VISION, FakeRouter, Reply, a_decision, a_session

IMAGES = Path(__file__).parents[2] / "docs" / "images"
IN_DOCS = {"night": "chat-dark.svg", "paper": "chat-light.svg"}
LARGE = (104, 40)
SMALL = (60, 20)

SORT = '''It now checks what it is given:

```python
def sort_list(items: list[int]) -> list[int]:
    """Smallest first; the list that was given stays as it is."""
    if not isinstance(items, list):
        raise TypeError(f"a list is needed, not {items!r}")
    return sorted(items)  # stable, O(n log n)
```

- It raises `TypeError` **before** anything is sorted.
- What `sorted` itself raises is passed on.
'''
SEEN = "The button is cut off: its label needs *36 px*, and the frame around it leaves 28.\n"
WRITTEN = "Here it is: `sorted(items)`.\n"

CONVERSATION = (
    ("Write a Python function to sort a list", Reply([WRITTEN])),
    (
        "Add error handling to that function",
        Reply([SORT], a_decision(reason="session", bypass_used=True, routing_time=0.00041)),
    ),
    (
        "What is wrong in this screenshot?",
        Reply(
            [SEEN],
            a_decision(
                use_case="multimodal",
                selected_model=VISION,
                reason="modality",
                confidence=1.0,
                context_changed=True,
                routing_time=0.0021,
            ),
        ),
    ),
)
SESSIONS = [
    a_session("chat-1", request_count=3, use_case="multimodal"),
    a_session("holidays", request_count=12),
    a_session("podcast-ep-7", use_case="stt", request_count=4, pinned=True),
    a_session("avatar-welcome", use_case="avatar", request_count=2),
]
STEPS_S = (0.0, 0.087, 1.043)  # to sending, to the first token, to the end
SCREENSHOT = Attached("screenshot.png (image, 48 kB)", Attachment("image", data="eA==", media_type="image/png"))
AWAY = RouterUnreachable("there is no router at http://localhost:8001 (refused); start one with `smart-router serve`")


async def conversations() -> dict[str, str]:
    """Three turns, and a fourth begun, in every theme."""
    router = FakeRouter([reply for _, reply in CONVERSATION], list(SESSIONS))
    times = _times()
    async with a_chat(router, LARGE, clock=lambda: next(times)) as chat:
        for question, _ in CONVERSATION:
            if "screenshot" in question:
                chat.app.talk.pending = (SCREENSHOT,)
            await chat.send(question)
        await chat.type("describe it for someone who cannot see")
        found = {}
        for theme in chat.app.theme_names:
            chat.app.theme = theme
            found[theme] = await drawn(chat)
        return found


async def small() -> dict[str, str]:
    """A terminal of 60 columns; the sessions above what is said."""
    async with a_chat(FakeRouter([Reply([WRITTEN])], list(SESSIONS)), SMALL) as chat:
        await chat.send("Write a Python function to sort a list")
        said = await drawn(chat)
        await chat.press("ctrl+b", "down")
        return {"small": said, "small, sessions": await drawn(chat)}


async def trouble() -> dict[str, str]:
    """A router that has gone; the message is back in the input."""
    async with a_chat(FakeRouter([Reply(refuse=AWAY)], down=AWAY), (90, 20)) as chat:
        chat.app.talk.pending = (SCREENSHOT,)
        await chat.send("What is wrong in this screenshot?")
        return {"trouble": await drawn(chat)}


async def choices() -> dict[str, str]:
    """What a slash can become, themes to choose from, and what a decision rested on."""
    async with a_chat(FakeRouter(listed=list(SESSIONS)), (90, 30)) as chat:
        await chat.type("/")
        commands = await drawn(chat)
        chat.app.prompt.put("")
        await chat.press("ctrl+t")
        themes = await drawn(chat)
        await chat.press("escape")
        await chat.send("Write a Python function to sort a list")
        await chat.send("/why")
        await chat.until(lambda: len(chat.app.screen_stack) > 1, "it is explained")
        return {"commands": commands, "themes": themes, "why": await drawn(chat)}


async def drawn(chat: Chat) -> str:
    """As SVG, with nothing in it that changes by itself, and nothing from outside."""
    await chat.rest()
    svg = chat.app.export_screenshot(title="smart-router chat", simplify=True)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S)
    svg = svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace")
    svg = svg.replace("font-family: Fira Code", "font-family: ui-monospace, Menlo, Consolas, DejaVu Sans Mono")
    return re.sub(r"terminal-\d+", "terminal", svg)


def _times() -> Iterator[float]:
    return accumulate(chain.from_iterable(repeat(STEPS_S)))


async def _draw_documents() -> None:
    drawn_in = await conversations()
    for theme, name in IN_DOCS.items():
        (IMAGES / name).write_text(drawn_in[theme])


if __name__ == "__main__":
    asyncio.run(_draw_documents())
