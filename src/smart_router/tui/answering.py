"""Messages on their way to the router, and what becomes of them on the screen."""

from typing import TYPE_CHECKING

from textual.worker import Worker

from smart_router.tui.asking import Asking
from smart_router.tui.attaching import MOST
from smart_router.tui.talks import Talk
from smart_router.tui.turns import Turn

if TYPE_CHECKING:
    from smart_router.tui.app import ChatApp

SHORT_OF_WORDS = "Describe what is attached."
BUSY = "An answer is being written: wait for its end, or stop it with Esc. Your message stays."


class Answering:
    """At most one message of a session is on its way."""

    def __init__(self, app: "ChatApp") -> None:
        self._app = app
        self._under_way: dict[Turn, Worker[None]] = {}

    async def send(self, question: str, *, typed: str) -> None:
        """*question*, with what is attached, in the session that is open."""
        app, talk = self._app, self._app.talk
        if talk.running:
            app.say(BUSY, "warning")
            return
        if not question and not talk.pending:
            return
        app.prompt.typed.add(typed)
        app.prompt.put("")
        turn = Turn(question or SHORT_OF_WORDS, talk.pending, talk.use_case)
        talk.pending = ()
        talk.add(turn)
        await app.transcript.show(talk)
        self._under_way[turn] = app.run_worker(self._exchange(talk, turn), group="exchange")
        app.refresh_around()

    def stop(self, talk: Talk) -> None:
        """What has come of its answer stays."""
        if (turn := talk.running) and turn in self._under_way:
            self._under_way[turn].cancel()

    async def _exchange(self, talk: Talk, turn: Turn) -> None:
        app = self._app
        asking = Asking(talk, turn, app.start.clock, lambda: app.transcript.update_turn(turn))
        try:
            await asking.run(app.client, app.start.max_tokens)
        finally:
            self._under_way.pop(turn, None)
            if turn.state == "failed" or not turn.text:
                self._give_back(talk, turn)
            app.refresh_around()
        if asking.failure is None:
            app.watching.look()
        else:
            app.watching.failed(asking.failure)

    def _give_back(self, talk: Talk, turn: Turn) -> None:
        """What was typed is where it came from, unless something else has been begun there."""
        talk.pending = (*turn.attached, *talk.pending)[:MOST]
        if talk is not self._app.talk:
            talk.draft = talk.draft or turn.question
        elif not self._app.prompt.text:
            self._app.prompt.put(turn.question)
