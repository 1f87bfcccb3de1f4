"""Whatever a model says is text."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.pilot import Pilot
from textual.widgets import Static

from smart_router.tui.answer_text import AnswerText
from smart_router.tui.themes import TERMINAL
from smart_router.tui.turn_view import TurnView
from smart_router.tui.turns import Turn

HOSTILE = (
    "<script>alert(1)</script> <b>bold</b>",
    "[bold red]markup[/] [@click=app.quit]quit[/] [/nothing-open]",
    "| [@click=app.quit]a[/ | [b] |\n|---|---|\n| [red | [/] |\n",
    "[label](javascript:alert(1)) [file](file:///etc/passwd) [bank](https://evil.example/a?b=[c])",
    "![picture](https://evil.example/x.png) ![](x) ![a][b]\n\n[b]: y",
    "&#27;[2J &#x9b;2J &#13;over &#0; `&#27;`",
    "```\x1b]0;title\x07\nco\x1b[2Jde\n```\n~~~[red]\n[/]\n~~~",
    "# [b]heading[/] `x` 🎉 ३ \n## \n### ' \" # {} $x\n",
    "1. a\n999999999. b\n1000000000. c\n- [ ] d\n  - e\n    - f\n      - g\n        - h\n          - i",
    "raw \x1b[31m and `\x9b2J` and **\x07**",
    "> " * 60 + "deep",
    "* " * 60 + "deep",
    "[" * 200 + "x" + "](y)" * 200,
    "*" * 500 + "x" + "_" * 500,
    "```" + "x" * 300 + "\nlanguage of no such name",
    "|a|b|\n|-|-|\n|1|\n|1|2|3|\n||\n\n|a|\n|-|\n",
    "word " * 2000,
    "x" * 5000,
    "\ud83d\udc69\u200d\ud83d\udcbb \u202egpj.exe नमस्ते 日本語 مرحبا",
    "---\n***\n===\n\n\ttab\n    indented [b]\n",
    "a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g",
    "[x]: <> '\n\n[x]\n\n[^1]: note\n\nTerm\n: definition",
    "",
)


class _Page(App[None]):
    def compose(self) -> ComposeResult:
        yield VerticalScroll()


@asynccontextmanager
async def a_page() -> AsyncIterator[Pilot[None]]:
    app = _Page()
    app.register_theme(TERMINAL)
    async with app.run_test(size=(60, 20)) as pilot:
        yield pilot


async def shown(pilot: Pilot[None], *pieces: str) -> TurnView:
    """A turn that gets these pieces one by one, and is done."""
    view = TurnView(turn := Turn("question", state="answering"))
    await pilot.app.query_one(VerticalScroll).mount(view)
    for piece in pieces:
        turn.text += piece
        view.update_turn()
        await pilot.app.workers.wait_for_complete()
    turn.state = "done"
    view.update_turn()
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()
    return view


def said(view: TurnView) -> str:
    """All that the answer's parts say."""
    return "\n".join(str(part.visual) for part in view.query_one(AnswerText).query(Static) if str(part.visual))


def actions(view: TurnView) -> list[object]:
    """What a click would do."""
    spans = (span for part in view.query(Static) for span in getattr(part.visual, "spans", ()))
    return [span.style for span in spans if getattr(span.style, "meta", None)]


async def test_nothing_that_a_model_says_is_obeyed_or_breaks_the_chat() -> None:
    async with a_page() as pilot:
        for text in HOSTILE:
            view = await shown(pilot, text)
            assert actions(view) == []
            assert [part for part in view.query("*") if part.tooltip is not None] == []
            assert not any((c < " " and c != "\n") or "\x7f" <= c <= "\x9f" for c in said(view)), text
            await view.remove()
        assert pilot.app.is_running


CODE = {
    "python": "class A:\n    @x.y\n    def __init__(self): return None or 1.5 # comment",
    "html": "<a href='x'>&amp;</a>",
    "diff": "-a\n+b",
    "json": '{"a": [1, null}',
    "bash": "for x in `ls`; do echo $x; done",
}


@pytest.mark.parametrize("theme", ["textual-dark", "terminal"])
async def test_code_of_every_kind_is_drawn_in_every_kind_of_theme(theme: str) -> None:
    async with a_page() as pilot:
        pilot.app.theme = theme
        view = await shown(
            pilot, "```python\nclass A:\n    @x.y\n    def __init__(self): '''d'''; return None or 1.5 # c\n```"
        )
        assert "def __init__" in said(view)
        view = await shown(
            pilot, "```html\n<a href='x'>&amp;</a>\n```\n```diff\n-a\n+b\n```\n```json\n{\"a\": [1, null}\n```"
        )
        assert "<a href='x'>" in said(view)


async def test_html_and_markup_are_shown_as_they_stand() -> None:
    async with a_page() as pilot:
        assert said(await shown(pilot, HOSTILE[0])) == HOSTILE[0]
        assert "[@click=app.quit]quit[/]" in said(await shown(pilot, HOSTILE[1]))


async def test_a_link_says_where_it_leads() -> None:
    async with a_page() as pilot:
        text = said(await shown(pilot, "[your bank](https://evil.example) <https://x.example> ![cat](c.png)"))
        assert text == "your bank (https://evil.example) https://x.example [image: cat (c.png)]"


LONG = """# Title

Some *text* with a [reference][1] and

1. one
2. two

   ```python
   print("x")
   ```

| a | b |
|---|---|
| 1 | 2 |
| 3 | 4 |

Setext
======

last \u2028 line

[1]: https://example.org
"""


async def test_what_came_in_pieces_looks_like_what_came_whole() -> None:
    async with a_page() as pilot:
        whole = said(await shown(pilot, LONG))
        pieces = [LONG[i : i + 9] for i in range(0, len(LONG), 9)]
        assert said(await shown(pilot, *pieces)) == whole
        assert "https://example.org" in whole
