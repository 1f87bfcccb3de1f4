"""A turn on the screen: the question, the answer as it comes, and the line that says where it went."""

import asyncio
from collections.abc import Iterator

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from smart_router.tui.answer_text import AnswerText
from smart_router.tui.decision_line import DecisionLine, decision_parts
from smart_router.tui.plain import plain
from smart_router.tui.turns import Turn

PACE_S = 0.05  # between redraws of what streams: a slow line has to carry each of them


class TurnView(Vertical):
    """Shows a turn as it stands whenever `update_turn` is called."""

    def __init__(self, turn: Turn) -> None:
        super().__init__(classes="turn")
        self.turn = turn
        self._shown = ""
        self._pieces = 0  # that what is shown was put together from
        self._writing = False

    @property
    def settled(self) -> bool:
        """All of the answer that has come is shown."""
        return not (self._writing or self._behind)

    @property
    def _behind(self) -> bool:
        return self._shown != self.turn.text or (self._pieces > 1 and not self.turn.running)

    def compose(self) -> ComposeResult:
        yield Static(Content(_question(self.turn)), classes="question")
        yield AnswerText()
        yield DecisionLine()
        yield Static(classes="trouble")
        yield Static(classes="note")

    def on_mount(self) -> None:
        self.update_turn()

    def update_turn(self) -> None:
        turn = self.turn
        self.set_class(turn.running, "-running")
        self.query_one(DecisionLine).show([*parts(turn)])
        self._say("trouble", Content(f"! {plain(turn.trouble)}") if turn.trouble else Content())
        self._say("note", Content("\n".join(plain(note) for note in turn.notes)))
        self.query_one(AnswerText).display = bool(turn.text)
        if self._behind and not self._writing:
            self._writing = True
            self.run_worker(self._write())

    def _say(self, what: str, content: Content) -> None:
        place = self.query_one(f".{what}", Static)
        if content != place.content:
            place.update(content)
        place.display = bool(content.plain)

    async def _write(self) -> None:
        """Catch up with the answer. Once it is whole it is set anew: what follows may change what came before."""
        text = self.query_one(AnswerText)
        while self._shown != self.turn.text:
            whole = self.turn.text
            await text.append(whole[len(self._shown) :])
            self._shown, self._pieces = whole, self._pieces + 1
            if self.turn.running:
                await asyncio.sleep(PACE_S)
        if self._pieces > 1 and not self.turn.running:
            await text.update(self._shown)
            self._pieces = 1
        self._writing = False


def parts(turn: Turn) -> Iterator[str]:
    if turn.decision:
        yield from decision_parts(turn.decision, first_token_s=turn.first_token_s, total_s=turn.total_s)
    if turn.state == "waiting":
        yield "waiting for the router …"
    elif turn.state == "answering":
        yield "answering …"
    elif turn.state == "stopped":
        yield "stopped"
    elif turn.answer and turn.answer.finish_reason == "length":
        yield f"cut off at {turn.answer.usage.completion_tokens} tokens"


def _question(turn: Turn) -> str:
    attached = "".join(f"\n+ {plain(file.label)}" for file in turn.attached)
    return plain(turn.question) + attached
